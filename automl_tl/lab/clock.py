"""Seconds by part of a piece of work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds of named parts, and of the whole."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time spent inside to `part`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._parts[part] = self._parts.get(part, 0.0) + time.perf_counter() - start

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by part, in the order in which they ended first."""
        return dict(self._parts)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part, and "total" since the clock was made."""
        return {**self._parts, "total": time.perf_counter() - self.started}
