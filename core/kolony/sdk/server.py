"""The server itself."""

from __future__ import annotations

from kolony.model.colonies import Statistics
from kolony.model.server import Cluster, ServerInfo
from kolony.sdk.api import Api, M, method
from kolony.sdk.settings import Key
from kolony.wire.server import ChangeServerId, GetCluster, GetServerInfo, GetStatistics, Version, VersionReply


class Server(Api[M]):
    """What a server says about itself; all but version and info is for the server owner."""

    @method
    async def version(self) -> VersionReply:
        """Version and time of the build; needs no key."""
        return await self._call(Version(), None)

    @method
    async def info(self) -> ServerInfo:
        """Version and listeners; needs no key."""
        return await self._call(GetServerInfo(), None)

    @method
    async def statistics(self, *, key: Key | None = None) -> Statistics:
        """Counts of the whole server (server owner)."""
        return await self._call(GetStatistics(), key or self._keys.server)

    @method
    async def cluster(self, *, key: Key | None = None) -> Cluster:
        """The servers and their leader (server owner)."""
        return await self._call(GetCluster(), key or self._keys.server)

    @method
    async def change_id(self, identity: str, *, key: Key | None = None) -> None:
        """Hand the server to another key, at once (server owner)."""
        await self._call(ChangeServerId(serverid=identity), key or self._keys.server, once=True)
