"""What an archive says it holds, checked before anything is read: names, links, sizes and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from automl_tl.data.decode import MAX_PIXELS
from automl_tl.data.names import printable
from automl_tl.data.source import Source
from automl_tl.errors import DataError

MAX_BYTES = 4 * MAX_PIXELS
"""Of one file of an archive, unpacked: what the largest picture that is decoded takes with four bytes a pixel."""
MAX_EMPTY, MAX_FOLDERS = 10_000, 200_000
"""Empty files and folders of an archive: more are no data set."""

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """One entry of an archive."""

    path: PurePosixPath
    """Inside the archive."""
    kind: Literal["file", "folder", "link", "device"]
    size: int
    """Bytes, unpacked, as the archive declares it."""
    source: Source
    """What opens as its bytes."""


def checked(archive: Path, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries of an archive, or raise `DataError` at the first that no archive of pictures has.

    Nothing is ever unpacked to the disk, so a path that leads outside could do no harm; but whoever made it wants to.
    """
    n_empty = n_folders = 0
    for entry in entries:
        n_empty += entry.kind == "file" and entry.size == 0
        n_folders += entry.kind == "folder"
        fault = _fault(entry)
        if n_empty > MAX_EMPTY:
            fault = f"more than {MAX_EMPTY:,} empty files"
        if n_folders > MAX_FOLDERS:
            fault = f"more than {MAX_FOLDERS:,} folders"
        if fault:
            raise DataError(
                f"The archive '{printable(archive)}' is not read, as it holds {fault}: "
                "give one of ordinary picture files, or a folder."
            )
        yield entry


def unreadable(archive: Path, kind: str, error: Exception) -> DataError:
    """Return the error for an archive that cannot be read as what its name says, "a zip file" for example."""
    reason = getattr(error, "strerror", None) or "it is damaged, cut off or something else"
    return DataError(
        f"'{printable(archive)}' cannot be read as {kind} ({reason}): make it anew, or give the folder that is in it."
    )


def _fault(entry: Entry) -> str:
    name = f"'{printable(str(entry.path))}'"
    if entry.path.is_absolute() or ".." in entry.path.parts or _DRIVE.match(str(entry.path)):
        return f"{name}, a path that leads out of it"
    if entry.kind in ("link", "device"):
        return f"{name}, a {entry.kind}"
    if not 0 <= entry.size <= MAX_BYTES:
        return f"{name}, a file of {entry.size:,} bytes, where no picture that is decoded has more than {MAX_BYTES:,}"
    return ""
