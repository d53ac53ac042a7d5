"""Time for what is optional: what is not done when it ends is left out, and said to be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from automl_tl.errors import AutomlTlError
from automl_tl.monitor import Progress

T = TypeVar("T")


class LateError(AutomlTlError):
    """The time for something optional has ended; whoever began it goes on without."""


@dataclass(frozen=True)
class SpareTime:
    """Time for what is optional, until `ends`, a `time.monotonic()`; by default it never ends."""

    ends: float = math.inf
    missed: list[str] = field(default_factory=list)
    """What there was no time for, in words."""

    @property
    def is_over(self) -> bool:
        """Whether nothing optional is begun any more."""
        return time.monotonic() >= self.ends

    def part(self, share: float) -> SpareTime:
        """Return a share of what is left, for one thing among others; what it misses is listed here."""
        now = time.monotonic()
        return SpareTime(now + share * max(self.ends - now, 0.0), self.missed)

    def check(self) -> None:
        """Raise LateError where the time is over."""
        if self.is_over:
            raise LateError

    def counting(self, progress: Progress) -> Progress:
        """Return `progress`, which raises LateError where the time is over before all is done."""

        def checked(done: int, total: int) -> None:
            progress(done, total)
            if done < total:
                self.check()

        return checked

    def bounded(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; raise LateError before one for which there is no time."""
        for item in items:
            self.check()
            yield item

    def attempt(self, what: str, work: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return what `work` gives, or `otherwise` where there is no time for it, which `missed` then names."""
        try:
            self.check()
            return work()
        except LateError:
            self.missed.append(what)
            return otherwise()

    def note(self) -> tuple[str, ...]:
        """Return the one sentence that says what there was no time for, or nothing."""
        if not self.missed:
            return ()
        what = "; ".join(dict.fromkeys(self.missed))
        return (f"Left out, since there was no time for it on this machine: {what}.",)


UNLIMITED = SpareTime()
"""For whoever has no budget."""


def until(deadline: float, items: Iterable[T]) -> Iterator[T]:
    """Yield the first item, and further ones as long as `time.monotonic()` is before the deadline."""
    for number, item in enumerate(items):
        if number > 0 and time.monotonic() >= deadline:
            return
        yield item
