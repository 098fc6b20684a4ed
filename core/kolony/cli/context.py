"""What the flags of ``kolony`` itself say, and the connections that commands make with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import typer

from kolony.errors import ConfigurationError

if TYPE_CHECKING:
    # loading the client takes longer than the commands that do without it
    from kolony.sdk.client import Client
    from kolony.sdk.settings import Options, Settings

PATIENCE_SECONDS = 5.0
"""How long a person is kept waiting while no server answers."""


def settings(ctx: typer.Context) -> Settings:
    """The settings of the environment, with the flags in their place."""
    from kolony.sdk.retries import Retry
    from kolony.sdk.settings import Settings

    flags = cast("Options", ctx.obj or {})
    options: Options = {"retry": Retry(deadline=PATIENCE_SECONDS), **flags}
    return Settings.from_env(**options)


@contextmanager
def connect(ctx: typer.Context) -> Iterator[Client]:
    """A client for the block."""
    from kolony.sdk.client import Client

    with Client(settings(ctx)) as client:
        yield client


@contextmanager
def connect_as_colony_owner(ctx: typer.Context) -> Iterator[Client]:
    """A client that has the colony owner's key."""
    if not settings(ctx).colony_key:
        raise ConfigurationError("this needs the key of the colony's owner: set COLONIES_COLONY_PRVKEY")
    with connect(ctx) as client:
        yield client


@contextmanager
def connect_as_server_owner(ctx: typer.Context) -> Iterator[Client]:
    """A client that has the server owner's key."""
    if not settings(ctx).server_key:
        raise ConfigurationError("this needs the key of the server's owner: set COLONIES_SERVER_PRVKEY")
    with connect(ctx) as client:
        yield client
