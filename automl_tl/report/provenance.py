"""Where a result comes from: versions, machine, command, seed, seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from automl_tl.durations import format_duration
from automl_tl.report.parts import Facts, Section
from automl_tl.surroundings import Surroundings, surroundings


@dataclass(frozen=True)
class Provenance:
    """What whoever wants the same result again needs to know."""

    command: str
    """As it was typed; "" where nothing was."""
    device: str
    """Where networks ran."""
    seed: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By activity, "total" among them."""
    made: Surroundings = field(default_factory=surroundings)

    def section(self) -> Section:
        """Return it as the last section of a page."""
        return Section("Where this comes from", (Facts(tuple(self._rows())),))

    def _rows(self) -> Iterator[tuple[str, str]]:
        if self.command:
            yield "command", self.command
        yield "when", self.made.when
        if self.seed is not None:
            yield "seed", str(self.seed)
        if self.seconds:
            yield "time", _times(self.seconds)
        yield "versions", self.made.versions
        yield "machine", f"{self.made.machine}, networks on {self.device}"


def _times(seconds: Mapping[str, float]) -> str:
    parts = [f"{name} {format_duration(value)}" for name, value in seconds.items() if name != "total"]
    total = f"{format_duration(seconds['total'])} in all" if "total" in seconds else ""
    return ": ".join(filter(None, [total, ", ".join(parts)]))
