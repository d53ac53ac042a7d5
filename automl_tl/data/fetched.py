"""What was fetched from an object store, at hand while this process needs it: each object travels once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO

MAX_BYTES = 4 * 1024**3
"""Of all objects that are kept at a time; further ones are fetched as often as they are opened."""


class Fetched:
    """Objects in a file without a name, whose space is free again when the process has ended, even by a kill.

    Several threads may ask at once. It does not travel to other processes: there every object is fetched anew.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._file: IO[bytes] | None = None
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[object, ...]:
        """Stay where it is."""
        return type(None), ()

    def read(self, address: str, fetch: Callable[[str], bytes]) -> bytes:
        """Return an object's bytes, fetched at the first time; what `fetch` raises is raised."""
        if address in self._places:
            with suppress(OSError), self._lock:
                return self._kept(*self._places[address])
        content = fetch(address)
        with suppress(OSError), self._lock:  # no space, or a folder that may not be written: it is fetched again
            self._keep(address, content)
        return content

    def _kept(self, start: int, size: int) -> bytes:
        assert self._file is not None
        self._file.seek(start)
        content = self._file.read(size)
        if len(content) < size:
            raise OSError("the file has become shorter")
        return content

    def _keep(self, address: str, content: bytes) -> None:
        """Append an object, where that leaves the disk as much room as it takes."""
        room = min(self._max_bytes - self._end, shutil.disk_usage(self._folder).free // 2)
        if address in self._places or len(content) > room:
            return
        self._file = self._file or tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # as long as this lives
        self._file.seek(self._end)
        self._file.write(content)
        self._file.flush()
        self._places[address] = (self._end, len(content))
        self._end += len(content)
