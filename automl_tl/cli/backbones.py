"""`automl-tl backbones`: the group, and `list [PATTERN]`, which builds and downloads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli.lazy import lazy_commands
from automl_tl.cli.options import format_option, verbose_option
from automl_tl.wording import format_bytes, plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_tl.backbones.presets import PresetBackbone
    from automl_tl.backbones.registry import BackboneRow

SCHEMA_VERSION = 1

COMMANDS = {
    "check": ("automl_tl.cli.backbones_check:check", "Check whether a backbone keeps its contract."),
    "new": ("automl_tl.cli.backbones_new:new", "Start a plugin of your own that works at once."),
}


@click.group()
def backbones() -> None:
    """List, check and start backbones."""


for _command in lazy_commands(COMMANDS).values():
    backbones.add_command(_command)


@backbones.command("list")
@click.argument("pattern", required=False)
@format_option
@verbose_option
def list_(pattern: str | None, output_format: str, verbose: bool) -> None:
    """Show every backbone: where its weights are, what it was trained on, or why it is broken.

    PATTERN is a part of a name or a pattern such as 'timm:resnet*'; without it a family such as timm is one
    line. Presets, short lists of published backbones for --backbone, come last. Nothing is built or downloaded.
    """
    from automl_tl.backbones.presets import all_members
    from automl_tl.backbones.registry import describe
    from automl_tl.cli.render import print_json, print_result

    rows = [row for row in describe() if matches(row.name, pattern)]
    presets = [one for one in all_members() if matches(one.preset, pattern)]
    if output_format == "json":
        shown = {"backbones": [asdict(row) for row in rows], "presets": [asdict(one) for one in presets]}
        print_json({"schema_version": SCHEMA_VERSION, **shown})
        return
    print_result(*_page(rows, presets, pattern, verbose))


def matches(name: str, pattern: str | None) -> bool:
    """Say whether `name` is one of PATTERN's: everything, a part of the name, or a shell pattern."""
    if not pattern:
        return True
    if any(character in pattern for character in "*?"):
        return fnmatchcase(name.lower(), pattern.lower())
    return pattern.lower() in name.lower()


def _page(
    rows: Sequence[BackboneRow], presets: Sequence[PresetBackbone], pattern: str | None, verbose: bool
) -> list[RenderableType]:
    from automl_tl.cli.render import literal

    if not rows and not presets:
        if not pattern:
            return [literal("No backbone is installed.")]
        return [literal(f"No backbone's name has '{pattern}' in it; automl-tl backbones list shows all families.")]
    usable = [row for row in rows if row.problem is None]
    listed, families = (usable, {}) if pattern else _fold(usable)
    parts: list[RenderableType] = [_table(listed)] if listed else []
    parts += [literal(_family_line(name, members)) for name, members in families.items()]
    if verbose:
        parts += [literal(f"{row.name}: {row.source}; {_address(row)}") for row in listed]
    broken = [row for row in rows if row.problem is not None]
    parts += [literal(f"Cannot be used: {row.name}: {row.problem}") for row in broken]
    return [*parts, *_preset_parts(presets)]


def _preset_parts(presets: Sequence[PresetBackbone]) -> list[RenderableType]:
    """Return a heading and a table with a line for each preset and device; nothing where there are none."""
    from rich.table import Table

    from automl_tl.cli.render import literal

    groups: dict[tuple[str, str], list[PresetBackbone]] = {}
    for one in presets:
        groups.setdefault((one.preset, one.device), []).append(one)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("preset", "on", "weights", "backbones"):
        table.add_column(column, overflow="fold")
    for (name, device), group in groups.items():
        size = format_bytes(round(sum(one.download_mb for one in group) * 1e6))
        table.add_row(*map(literal, (name, device, size, ", ".join(one.backbone for one in group))))
    heading = "Presets for --backbone; weights that are not here are fetched, after a notice:"
    return [literal(heading), table] if groups else []


def _fold(rows: Sequence[BackboneRow]) -> tuple[list[BackboneRow], dict[str, list[BackboneRow]]]:
    """Split rows into those listed one by one (no family's, or on this machine) and whole families."""
    families: dict[str, list[BackboneRow]] = {}
    for row in rows:
        family, colon, _ = row.name.partition(":")
        if colon:
            families.setdefault(family, []).append(row)
    listed = [row for row in rows if ":" not in row.name or (row.weights is not None and row.weights.local)]
    return listed, families


def _family_line(name: str, members: Sequence[BackboneRow]) -> str:
    n_local = sum(row.weights is not None and row.weights.local for row in members)
    origin = f"{members[0].distribution} {members[0].version}"
    return (
        f"Family {name} ({origin}): {plural(len(members), 'name')}, weights of {n_local} on this machine; "
        f"list '{name}:*' shows them"
    )


def _table(rows: Sequence[BackboneRow]) -> RenderableType:
    from rich.table import Table

    from automl_tl.cli.render import literal

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("backbone", overflow="fold")
    table.add_column("pixels", justify="right")
    for name in ("pretrained on", "weights", "licence", "from"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(literal(cell) for cell in _cells(row)))
    return table


def _cells(row: BackboneRow) -> tuple[str, ...]:
    licence = row.weights.licence if row.weights else ""
    origin = f"{row.distribution} {row.version}"
    return row.name, str(row.input_size), row.pretrained_on, _where(row), licence or "unknown", origin


def _address(row: BackboneRow) -> str:
    weights: Any = row.weights
    return f"weights {weights.identity} {'at' if weights.local else 'from'} {weights.address or 'unknown'}"


def _where(row: BackboneRow) -> str:
    """Return "here, 19 MB" or "not here, 98 MB"; the size where it is known."""
    weights: Any = row.weights
    size = f", {format_bytes(weights.n_bytes)}" if weights.n_bytes is not None else ""
    return f"{'here' if weights.local else 'not here'}{size}"
