"""A folder tree as it lies on the disk: pictures, folders, and what is neither."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from automl_tl.data.address import Root
from automl_tl.data.listing import Listing
from automl_tl.data.names import printable
from automl_tl.errors import DataError

# fmt: off
PICTURE_ENDINGS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    ".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst", ".ico", ".icns", ".pcx", ".sgi",
    ".rgb", ".rgba", ".bw", ".dds", ".qoi", ".psd", ".ras", ".msp", ".im", ".xbm", ".xpm", ".fit", ".fits",
})
# fmt: on
"""Endings, in lower case, of the formats that `decode` reads; HEIC needs the extra `heic`."""

_SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx", "@eadir",
     "$recycle.bin", "system volume information"}
)  # fmt: skip
MAX_DEPTH = 100


@dataclass(frozen=True)
class Folder:
    """A folder, with everything hidden already left out."""

    path: Root
    pictures: tuple[str, ...]
    """Absolute paths of the picture files that lie directly in it, sorted."""
    folders: tuple[Folder, ...]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @cached_property
    def children(self) -> tuple[Folder, ...]:
        """The folders directly in it that hold a picture at any depth."""
        return tuple(folder for folder in self.folders if folder.pictures or folder.children)

    def all_pictures(self) -> Iterator[str]:
        """Yield the pictures in it and in all folders below it."""
        yield from self.pictures
        for child in self.children:
            yield from child.all_pictures()


def is_picture_name(name: str) -> bool:
    """Return whether the ending is that of a picture, whatever its case."""
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS


def walk(root: Path, listing: Listing) -> Folder:
    """Return the tree below `root`; what is no picture goes to `listing.skipped` with the reason.

    Hidden names (those that start with a dot) and system files are ignored without a word, but only
    below `root`. Links to files and to folders are followed wherever they point; a folder that was
    already passed on the way is not entered again, so that links never lead round in a circle.
    """
    try:
        identity = _identity(root)
        os.scandir(root).close()
    except OSError as error:
        raise DataError(
            f"The folder '{printable(root)}' cannot be opened ({error.strerror}): check its permissions."
        ) from error
    return _walk(root, frozenset({identity}), None, listing, 0)


def _walk(
    path: Path,
    above: frozenset[tuple[int, int]],
    inside_link: set[tuple[int, int]] | None,
    listing: Listing,
    depth: int,
) -> Folder:
    """List one folder. `above` are the folders on the way to it.

    Outside links a folder can be met again only on its own way. Behind a link every folder is
    entered once (`inside_link`), or folders full of links to each other would be listed in all orders.
    """
    pictures, folders = [], []
    for entry in _entries(path, listing):
        kind = _kind(entry)
        if kind == "picture":
            pictures.append(entry.path)
        elif kind != "folder":
            listing.skip(entry.path, kind)
        elif (folder := _enter(entry, above, inside_link, listing, depth)) is not None:
            folders.append(folder)
    return Folder(path, tuple(pictures), tuple(folders))


def _enter(
    entry: os.DirEntry[str],
    above: frozenset[tuple[int, int]],
    inside_link: set[tuple[int, int]] | None,
    listing: Listing,
    depth: int,
) -> Folder | None:
    try:
        identity = _identity(entry.path)
    except OSError as error:
        listing.skip(entry.path, f"cannot be opened: {error.strerror}")
        return None
    if identity in above or identity in (inside_link or ()):
        listing.skip(entry.path, "a link to a folder that is listed already")
        return None
    if depth >= MAX_DEPTH:
        listing.skip(entry.path, f"lies more than {MAX_DEPTH} folders deep")
        return None
    if inside_link is None and entry.is_symlink():
        inside_link = set()
    if inside_link is not None:
        inside_link.add(identity)
    return _walk(Path(entry.path), above | {identity}, inside_link, listing, depth + 1)


def _entries(path: Path, listing: Listing) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            visible = [entry for entry in found if not is_ignored(entry.name)]
    except OSError as error:
        listing.skip(path, f"cannot be opened: {error.strerror}")
        return []
    named = [entry for entry in visible if is_text(entry.name)]
    for entry in visible:
        if not is_text(entry.name):
            fault = "its name is not valid UTF-8: rename it"
            listing.skip(printable(entry.path), f"cannot be opened: {fault}" if _kind(entry) == "folder" else fault)
    return sorted(named, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "picture", or the reason why it is neither."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "picture" if is_picture_name(entry.name) else "not a picture file"
        return "a link to a file that does not exist" if entry.is_symlink() else "not a regular file"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or the system's."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_text(name: str) -> bool:
    """Return whether a name is text, in whatever script."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _identity(path: str | Path) -> tuple[int, int]:
    """Return what is the same for two ways to one folder."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
