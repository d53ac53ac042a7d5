"""What plugins print is no result: while their code runs, it goes to standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_here = threading.local()


@contextmanager
def chatter() -> Iterator[None]:
    """Let what this thread prints within go to standard error, where standard output is for `Results`."""
    before = getattr(_here, "within", False)
    _here.within = True
    try:
        yield
    finally:
        _here.within = before


class Results:
    """Standard output for a command's own result, such as one JSON object.

    A stream is replaced once, and each thread looks where it stands: of two threads that replaced it in turn, one would
    leave what the other had put there.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or say it on standard error where it is chatter."""
        return self._at().write(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts so."""
        self._at().writelines(lines)

    def _at(self) -> IO[str]:
        return sys.stderr if getattr(_here, "within", False) else self._stream

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def results_apart() -> Iterator[None]:
    """Let standard output be for results alone."""
    stream = sys.stdout
    sys.stdout = Results(stream)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = stream
