"""Results that are dear to compute, kept in memory while a run may ask for them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


T = TypeVar("T", bound=Sized)


class Kept:
    """The results that were used last, up to so many bytes.

    Args:
        most: bytes of all results together; one that is larger alone is handed on and not kept.
    """

    def __init__(self, most: int = 2**28) -> None:
        self.most = most
        self._results: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(result.nbytes for result in self._results.values())

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of that key, computed where it is not kept; the key says everything that changes it."""
        if key not in self._results:
            result = compute()
            if result.nbytes > self.most:
                return result
            self._results[key] = result
        self._results.move_to_end(key)
        while self.nbytes > self.most:
            self._results.popitem(last=False)
        kept: T = self._results[key]
        return kept
