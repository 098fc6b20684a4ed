"""Commands that applications add, found by their entry points and loaded when they are used."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kolony.errors import ConfigurationError

GROUP = "kolony.commands"

_EXTRAS = {"kolony_apiserver": "dev", "kolony_operator": "operator"}
"""What to install for the commands of a package."""


class PluginGroup(TyperGroup):
    """A group whose commands are its own and those of the entry points."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return sorted({*super().list_commands(ctx), *_found()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name."""
        own = super().get_command(ctx, cmd_name)
        plugin = None if own else _found().get(cmd_name)
        return _load(plugin) if plugin else own


def _found() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=GROUP)}


def _load(plugin: EntryPoint) -> Any:
    app = typer.Typer(add_completion=False)
    try:
        app.command(plugin.name)(plugin.load())
    except ImportError as error:
        app.command(plugin.name, help="(not installed)", context_settings=_ANY)(_missing(plugin, error))
    return get_command(app)


_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}


def _missing(plugin: EntryPoint, error: ImportError) -> Any:
    extra = _EXTRAS.get(plugin.module.partition(".")[0], "all")

    def explain() -> None:
        raise ConfigurationError(
            f"`kolony {plugin.name}` is not installed here: pip install 'kolony[{extra}]' ({error})"
        )

    return explain
