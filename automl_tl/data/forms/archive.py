"""A zip file or a tar of class folders, as if it were the folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from automl_tl.data.folders import list_tree
from automl_tl.data.forms.entries import Entry, checked
from automl_tl.data.forms.tar_file import tar_entries
from automl_tl.data.forms.zip_file import zip_entries
from automl_tl.data.listing import Listing
from automl_tl.data.names import printable
from automl_tl.data.walk import MAX_DEPTH, Folder, is_ignored, is_picture_name, is_text

_Branch: TypeAlias = "dict[str, _Branch | None]"
"""Folders by name, and pictures, which are None."""


def list_archive(archive: Path, split_folders: Mapping[str, str] | None = None) -> Listing:
    """Return the labelled pictures in an archive of class folders; see `folders.list_tree`.

    Raises:
        DataError: The archive cannot be read, is not as an archive of pictures is, or holds no class folders.
    """
    listing = Listing(form=f"folders in a {archive.suffix.lower()[1:]}")
    top: _Branch = {}
    for entry in entries(archive):
        _grow(top, entry, listing)
    return list_tree(_folder(archive, top), listing, split_folders)


def entries(archive: Path) -> Iterator[Entry]:
    """Yield the entries of an archive, checked, without hidden ones and those of systems."""
    found = zip_entries(archive) if archive.suffix.lower() == ".zip" else tar_entries(archive)
    return (entry for entry in checked(archive, found) if not any(map(is_ignored, entry.path.parts)))


def _grow(top: _Branch, entry: Entry, listing: Listing) -> None:
    """Put an entry in its place, or among what is left out."""
    if reason := _unusable(entry):
        listing.skip(printable(entry.source.name), reason)
        return
    branch = top
    for part in entry.path.parts if entry.kind == "folder" else entry.path.parts[:-1]:
        branch = _into(branch, part)
    if entry.kind == "file":
        branch[entry.path.name] = None
        listing.sources[entry.source.name] = entry.source


def _into(branch: _Branch, name: str) -> _Branch:
    inner = branch.get(name)
    if inner is None:
        inner = branch[name] = {}
    return inner


def _unusable(entry: Entry) -> str:
    if not is_text(str(entry.path)):
        return "its name is not valid UTF-8: rename it"
    if len(entry.path.parts) > MAX_DEPTH:
        return f"lies more than {MAX_DEPTH} folders deep"
    return "not a picture file" if entry.kind == "file" and not is_picture_name(entry.path.name) else ""


def _folder(path: Path, branch: _Branch) -> Folder:
    names = sorted(branch)
    pictures = tuple(str(path / name) for name in names if branch[name] is None)
    folders = (_folder(path / name, inner) for name in names if (inner := branch[name]) is not None)
    return Folder(path, pictures, tuple(folders))
