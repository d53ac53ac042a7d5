"""Commands that are imported when they are run, not when they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyCommand(click.Command):
    """Stands for the command at `target` ("module:attribute"); known without importing it.

    click asks a command for a context before it runs it, and runs what the context names: handing
    that call on to the real command is all that is needed.
    """

    def __init__(self, name: str, target: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self.target = target

    def load(self) -> click.Command:
        """Import the real command; raises ImportError or AttributeError where there is none."""
        module, _, attribute = self.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Return the context of the real command, which click then invokes."""
        return self.load().make_context(*args, **extra)


def lazy_commands(table: Mapping[str, tuple[str, str]]) -> dict[str, click.Command]:
    """Return the commands of a table {name: (target, short help)}, in its order."""
    return {name: LazyCommand(name, target, text) for name, (target, text) in table.items()}
