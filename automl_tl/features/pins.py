"""Which shards running processes need: nobody deletes those, however long ago they were used.

A pin is a list of shards beside a lock that its process holds. The operating system lets go of the lock when the
process ends, however it ends; a list whose lock nobody holds is swept away.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_FOLDER = "in-use"
_own: weakref.WeakSet[Pin] = weakref.WeakSet()


class Pin:
    """Shards that stay while this object lives; a copy in another process pins nothing, as its driver does.

    Where a lock is impossible (a read-only cache), what was used within the last hour is all that stays.
    """

    def __init__(self, folder: Path) -> None:
        self.shards: set[Path] = set()
        self._folder = folder / _FOLDER
        self._list = self._folder / f"{uuid.uuid4().hex}.txt"
        self._locked = False
        _own.add(self)

    def __reduce__(self) -> tuple[object, ...]:
        return Pin, (self._folder.parent,)

    def add(self, shards: Iterable[Path]) -> None:
        """Pin more shards, of the folder that the pin was made for."""
        new = set(shards) - self.shards
        self.shards |= new
        with suppress(OSError, NotImplementedError):
            self._lock_once()
            with self._list.open("a", encoding="utf-8") as file:
                file.writelines(f"{shard.parent.name}/{shard.name}\n" for shard in new)

    def _lock_once(self) -> None:
        if self._locked:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = _lock_of(self._list)
        lock.acquire(timeout=0)
        self._locked = True
        weakref.finalize(self, _let_go, self._list, lock)


def pinned(folder: Path) -> set[Path]:
    """Return the shards below `folder` that this process or another one needs; sweeps away what dead ones left."""
    own = {pin._list: pin.shards for pin in _own if pin._folder == folder / _FOLDER}
    held = set().union(*own.values())
    for listed in (folder / _FOLDER).glob("*.txt"):
        if listed not in own and _is_alive(listed):
            held |= {folder / line for line in _lines(listed)}
    return held


def _is_alive(listed: Path) -> bool:
    """Return whether a process holds the lock of a list; deletes the list where none does."""
    lock = _lock_of(listed)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return True  # nobody can tell
    _let_go(listed, lock)
    return False


def _lock_of(listed: Path) -> FileLock:
    # Not of one thread: the pin may be collected in another one.
    return FileLock(listed.with_suffix(".lock"), thread_local=False)


def _let_go(listed: Path, lock: FileLock) -> None:
    with suppress(OSError):
        listed.unlink(missing_ok=True)
        Path(lock.lock_file).unlink(missing_ok=True)  # Windows refuses while it is held
    lock.release(force=True)


def _lines(listed: Path) -> list[str]:
    try:
        return listed.read_text(encoding="utf-8").splitlines()
    except OSError:  # let go of meanwhile
        return []
