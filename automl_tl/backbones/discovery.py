"""Which plugins are installed: the entry points of the group, read one distribution at a time.

`importlib.metadata.entry_points` reads all distributions in one go, so that one damaged file among them
takes every plugin down. Here each is read alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from automl_tl.backbones.contract import ENTRY_POINT_GROUP

OWN_DISTRIBUTION = "automl-tl"


@dataclass(frozen=True)
class Found:
    """One installed entry point, not imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint | None
    """None where the distribution's list of entry points cannot be read."""
    error: str | None = None

    @property
    def target(self) -> str:
        """What it points to, as "module:attribute"."""
        return self.entry_point.value.replace(" ", "") if self.entry_point is not None else ""

    @property
    def order(self) -> tuple[bool, str, str]:
        """The bundled plugins come first: nothing installed beside them can take their names."""
        return (self.distribution != OWN_DISTRIBUTION, self.distribution, self.name)


def installed() -> list[Found]:
    """Return every entry point of the group `automl_tl.backbones`, in an order that never changes."""
    seen: set[str] = set()
    found: list[Found] = []
    for distribution in metadata.distributions():
        mine = list(_of(distribution))
        # A distribution that is on the path twice counts once: the first one is what Python imports.
        if mine and mine[0].distribution not in seen:
            seen.add(mine[0].distribution)
            found.extend(mine)
    return sorted(found, key=lambda one: one.order)


def _of(distribution: metadata.Distribution) -> Iterator[Found]:
    try:
        if ENTRY_POINT_GROUP not in (distribution.read_text("entry_points.txt") or ""):
            return
        name, version = _identity(distribution)
    except Exception:  # not even its name is readable: it cannot be reported, nor be a plugin
        return
    try:
        for point in distribution.entry_points.select(group=ENTRY_POINT_GROUP):
            yield Found(point.name, name, version, point)
    except Exception as error:
        text = f"{name} {version} has an entry_points.txt that cannot be read: {type(error).__name__}: {error}"
        yield Found(name, name, version, None, text)


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return its normalised name and its version."""
    about = distribution.metadata
    return normalised(about["Name"] or "unknown"), about["Version"] or "unknown version"


def normalised(name: str) -> str:
    """Return a distribution's name as package indexes compare it: lower case, single hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()
