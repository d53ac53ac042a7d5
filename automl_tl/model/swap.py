"""A folder that is replaced as a whole: it is the old one or the new one, never half of one.

The new folder is written beside the old one as `.NAME.tmp-PID`. Then the old one is renamed to `.NAME.old-bundle`,
the new one to NAME, and `.NAME.old-bundle` is deleted. Two folders cannot be swapped in one step everywhere, so a
crash between the two renames leaves no NAME, but a complete `.NAME.old-bundle`: `recover`, which is called before a
folder is read, renames it back; and a replacement deletes it only when the new folder is in its place. Where both are
there, the crash came later, and `.NAME.old-bundle` is only waste, which the next replacement deletes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STALE_SECONDS = 3600
_ATTEMPTS = 5


def aside(folder: Path) -> Path:
    """Return where the old folder is while the new one takes its place."""
    return folder.with_name(f".{folder.name}.old-bundle")


def recover(folder: Path) -> Path:
    """Put the old folder back if a crash left it aside; return where the folder is now, which may not exist.

    That is `folder` itself, or its place aside where it cannot be renamed (a read-only disk).
    """
    old = aside(folder)
    if folder.exists() or not old.is_dir():
        return folder
    with contextlib.suppress(OSError):
        old.rename(folder)
    return folder if folder.exists() else old


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to be filled, which becomes `folder` if no exception is raised, and else is deleted.

    Raises:
        OSError: It cannot be written or renamed; then the old folder is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _delete_stale(folder)
    new = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        for file in new.iterdir():
            _to_disk(file)
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Rename the old folder aside and the new one into its place; try again where somebody recovers in between."""
    old = aside(folder)
    for attempt in range(_ATTEMPTS):
        try:
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                folder.rename(old)
            new.rename(folder)
            break
        except BaseException as error:  # also an interruption: until then there is no folder
            recover(folder)
            if not isinstance(error, OSError) or attempt == _ATTEMPTS - 1:
                raise
    shutil.rmtree(old, ignore_errors=True)


def _to_disk(file: Path) -> None:
    """Wait until the file's bytes are on the disk, so that no rename comes before them."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _delete_stale(folder: Path) -> None:
    """Delete what crashed processes left behind an hour ago or earlier."""
    prefix = f".{folder.name}.tmp-"
    for found in folder.parent.iterdir():
        with contextlib.suppress(OSError):
            if found.name.startswith(prefix) and found.stat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(found)
