"""A unit of work: the repositories of all families over one transaction."""

from __future__ import annotations

from functools import cached_property

from kolony_apiserver.store.assignments import Assignments
from kolony_apiserver.store.attributes import Attributes
from kolony_apiserver.store.colonies import Colonies, Server
from kolony_apiserver.store.counts import Counts
from kolony_apiserver.store.crons import Crons
from kolony_apiserver.store.database import Session
from kolony_apiserver.store.deadlines import Deadlines
from kolony_apiserver.store.executors import Executors
from kolony_apiserver.store.functions import Functions
from kolony_apiserver.store.generators import Generators
from kolony_apiserver.store.leadership import Terms
from kolony_apiserver.store.locations import Locations
from kolony_apiserver.store.logs import Logs
from kolony_apiserver.store.members import Members
from kolony_apiserver.store.processes import Processes
from kolony_apiserver.store.servers import Servers
from kolony_apiserver.store.users import Users
from kolony_apiserver.store.workflows import Workflows


class Store:
    """The families' queries in one transaction; each repository is made when it is first used."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def assignments(self) -> Assignments:
        """Pauses, and the clean-up of classes."""
        return Assignments(self._session)

    @cached_property
    def attributes(self) -> Attributes:
        """Attributes of processes."""
        return Attributes(self._session)

    @cached_property
    def colonies(self) -> Colonies:
        """Colonies."""
        return Colonies(self._session)

    @cached_property
    def counts(self) -> Counts:
        """Counters."""
        return Counts(self._session)

    @cached_property
    def crons(self) -> Crons:
        """Crons."""
        return Crons(self._session)

    @cached_property
    def deadlines(self) -> Deadlines:
        """Limits and retention."""
        return Deadlines(self._session)

    @cached_property
    def executors(self) -> Executors:
        """Executors."""
        return Executors(self._session)

    @cached_property
    def functions(self) -> Functions:
        """Functions."""
        return Functions(self._session)

    @cached_property
    def generators(self) -> Generators:
        """Generators."""
        return Generators(self._session)

    @cached_property
    def locations(self) -> Locations:
        """Locations."""
        return Locations(self._session)

    @cached_property
    def logs(self) -> Logs:
        """Logs."""
        return Logs(self._session)

    @cached_property
    def members(self) -> Members:
        """Changes of membership."""
        return Members(self._session)

    @cached_property
    def processes(self) -> Processes:
        """Processes."""
        return Processes(self._session)

    @cached_property
    def server(self) -> Server:
        """The server itself."""
        return Server(self._session)

    @cached_property
    def servers(self) -> Servers:
        """The servers of the cluster."""
        return Servers(self._session)

    @cached_property
    def terms(self) -> Terms:
        """The fence of the leader."""
        return Terms(self._session)

    @cached_property
    def users(self) -> Users:
        """Users."""
        return Users(self._session)

    @cached_property
    def workflows(self) -> Workflows:
        """Workflows."""
        return Workflows(self._session)
