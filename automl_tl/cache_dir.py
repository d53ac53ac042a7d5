"""Where the cache is on disk, which folders it consists of, and how much of it may be deleted.

Nothing is ever deleted but the folders named in `KINDS` below a folder that carries our mark: a
`--cache-dir` that already holds somebody's files gets a folder of our own inside it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from automl_tl.errors import CacheError
from automl_tl.wording import clean

ENVIRONMENT_VARIABLE = "AUTOML_TL_CACHE_DIR"
KINDS = ("scan", "features", "domain", "evidence", "short_training", "timing", "preflight")
MARK = "CACHEDIR.TAG"  # also tells backup programs to leave the folder out, see bford.info/cachedir
MARK_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache that automl-tl made; it can be deleted.\n"


_TRIES = 5
"""To delete a folder in which another process deletes too."""


@dataclass(frozen=True)
class KindSize:
    """How much one kind of cached thing takes on disk."""

    kind: str
    n_files: int
    n_bytes: int


def cache_path(value: str | Path | None = None) -> Path:
    """Return the absolute path of the cache folder without touching the disk's contents.

    `value` (an option) wins over $AUTOML_TL_CACHE_DIR, which wins over the platform's user cache
    folder. A folder that holds files but not our mark is somebody's: then it is its sub-folder automl-tl.
    Raises CacheError where it is a file, or in a home folder that does not exist.
    """
    named = value or os.environ.get(ENVIRONMENT_VARIABLE) or user_cache_dir("automl-tl", appauthor=False)
    expanded = os.path.expanduser(named)
    if expanded.startswith("~"):
        raise CacheError(
            f"there is no home folder, so '{clean(named)}' is nowhere; name a cache folder with --cache-dir or "
            f"${ENVIRONMENT_VARIABLE}"
        )
    path = Path(os.path.abspath(expanded))
    if path.is_file():
        raise CacheError(_unusable(path, NotADirectoryError("it is a file")))
    return path if _is_ours_or_empty(path) else path / "automl-tl"


def cache_dir(value: str | Path | None = None) -> Path:
    """Return the cache folder as in `cache_path`, creating and marking it.

    One of ours that cannot be written is there to be read: what it lacks is an error when it is asked for. Raises
    CacheError where there is none and it cannot be created.
    """
    path = cache_path(value)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _mark(path)
        for kind in KINDS:
            (path / kind).mkdir(exist_ok=True)
    except OSError as error:
        if not is_marked(path, beginning=True):
            raise CacheError(_unusable(path, error)) from error
    return path


def sizes(path: Path) -> tuple[KindSize, ...]:
    """Return the number of files and bytes of every kind in the cache folder `path`, which may be missing."""
    return tuple(_size(path, kind) for kind in KINDS)


def clear(path: Path) -> tuple[KindSize, ...]:
    """Delete the known sub-folders of the cache folder `path` and return what they held.

    Other files in it stay. Raises CacheError where `path` does not carry our mark or a file resists.
    """
    held = sizes(path)
    if not path.exists():
        return held
    if not is_marked(path):
        raise CacheError(f"{path} was not made by automl-tl, so nothing is deleted; name the cache folder")
    for kind in KINDS:
        _remove(path / kind)
    return held


def _remove(folder: Path) -> None:
    try:
        if folder.is_symlink():
            folder.unlink()
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # it is not there, or another process clears or prunes at the same time
                shutil.rmtree(folder)
    except OSError as error:
        raise CacheError(f"cannot delete {folder} ({error.strerror or error}); delete it by hand") from error


def _size(path: Path, kind: str) -> KindSize:
    n_files = n_bytes = 0
    for folder, _, names in os.walk(path / kind):
        for name in names:
            try:
                n_bytes += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue  # another process prunes at the same time
            n_files += 1
    return KindSize(kind, n_files, n_bytes)


def _is_ours_or_empty(path: Path) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None or is_marked(path, beginning=True)
    except OSError:
        return True  # missing or unreadable: creating it says what is wrong


def is_marked(path: Path, *, beginning: bool = False) -> bool:
    """Return whether automl-tl made a folder as its cache; `beginning`, also where a process is about to mark it."""
    try:
        text = (path / MARK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "automl-tl" in text or (beginning and not text)


def _mark(path: Path) -> None:
    if not is_marked(path):
        (path / MARK).write_text(MARK_TEXT, encoding="utf-8")


def _unusable(path: Path, error: OSError) -> str:
    return (
        f"the cache folder {path} cannot be used ({error.strerror or error}); "
        f"name another one with --cache-dir or ${ENVIRONMENT_VARIABLE}"
    )
