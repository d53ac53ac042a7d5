"""Pictures in an object store: one of them as a source, a folder of them as a tree, those that a table names."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from automl_tl.data.address import Address
from automl_tl.data.ahead import ahead
from automl_tl.data.fetched import Fetched
from automl_tl.data.listing import Listing
from automl_tl.data.names import printable
from automl_tl.data.object_store import Info, content, info, listed, version_of
from automl_tl.data.walk import MAX_DEPTH, Folder, is_ignored, is_picture_name, is_text
from automl_tl.errors import DataError, PictureError

MAX_BYTES = 400_000_000
"""Of an object that is read as a picture: what the largest one that is decoded takes with four bytes a pixel."""
NO_OBJECT = "there is no such object in the store"
_AT_ONCE = 16
"""Folders that are listed at a time: a store answers after a tenth of a second, however short the answer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that is an object of a store; it is fetched as a whole, when it is opened and not at hand."""

    name: str
    """Its address."""
    version: str | None = None
    """See `Source`; as it was listed."""
    size: int | None = None
    """Bytes; None where it was not listed."""
    fetched: Fetched | None = field(default=None, compare=False, repr=False)
    """What keeps it at hand; None: nothing does."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.name, 0

    def open(self) -> BinaryIO:
        """See `Source`; raises StoreError where the store cannot be reached, as no picture is to blame for that."""
        try:
            size = info(self.name)["size"] if self.size is None else self.size
            if size is not None and size > MAX_BYTES:
                raise PictureError(f"too large: {size:,} bytes are more than {MAX_BYTES:,}")
            return io.BytesIO(self.fetched.read(self.name, content) if self.fetched else content(self.name))
        except FileNotFoundError:
            raise PictureError(NO_OBJECT) from None
        except PermissionError:
            raise PictureError("the store gives no permission to read it") from None


def fetched_once(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return a data set's frame whose objects are kept in `folder` from when they are first opened."""
    if "source" not in frame or not any(isinstance(source, Stored) for source in frame["source"]):
        return frame
    kept = Fetched(folder)
    sources = [replace(one, fetched=kept) if isinstance(one, Stored) else one for one in frame["source"]]
    return frame.assign(source=pd.Series(sources, frame.index, dtype=object))


def stored_tree(root: Address, listing: Listing) -> Folder:
    """Return the folders and pictures below an address, as `walk.walk` does of a folder on the disk.

    Raises:
        DataError: there is nothing, it may not be listed, or the store cannot be reached.
    """
    try:
        return _folder(root, listing, 0)
    except FileNotFoundError:
        raise missing(root) from None
    except PermissionError:
        raise forbidden(root) from None


def missing(address: Address) -> DataError:
    """Return the error for an address where nothing is."""
    return DataError(f"There is nothing at '{printable(address)}': check the bucket and the name.")


def forbidden(address: Address) -> DataError:
    """Return the error for an address that may not be read."""
    return DataError(f"The store gives no permission to read '{printable(address)}': check the credentials.")


def _folder(path: Address, listing: Listing, depth: int) -> Folder:
    pictures, folders = [], []
    for name, said in listed(str(path)):
        if is_ignored(name):
            continue
        address = f"{path}/{name}"
        if reason := _unusable(name, said, depth):
            listing.skip(printable(address), reason)
        elif said["type"] == "directory":
            folders.append(_folder(path / name, listing, depth + 1))
        else:
            pictures.append(address)
            listing.sources[address] = _stored(address, said)
    return Folder(path, tuple(pictures), tuple(folders))


def _unusable(name: str, said: Info, depth: int) -> str:
    if not is_text(name):
        return "its name is not valid UTF-8: rename it"
    if said["type"] == "directory":
        return f"lies more than {MAX_DEPTH} folders deep" if depth >= MAX_DEPTH else ""
    return "" if is_picture_name(name) else "not a picture file"


def _stored(address: str, said: Info) -> Stored:
    return Stored(address, version_of(said), said.get("size"))


def look_up(addresses: Iterable[str]) -> dict[str, Stored]:
    """Return those of the addresses at which there is an object, or may be one; each folder is listed once.

    Where a folder may not be listed its objects may still be read, so they are taken to be there.

    Raises:
        StoreError: a store cannot be reached.
    """
    by_folder: dict[str, dict[str, str]] = {}
    for address in addresses:
        folder, _, name = address.rpartition("/")
        by_folder.setdefault(folder, {})[name] = address
    found: dict[str, Stored] = {}
    for wanted, there in zip(by_folder.values(), ahead(_objects, by_folder, most=_AT_ONCE), strict=True):
        for name, address in wanted.items():
            if there is None:
                found[address] = Stored(address)
            elif name in there:
                found[address] = _stored(address, there[name])
    return found


def _objects(folder: str) -> Mapping[str, Info] | None:
    """Return the objects directly in a folder by their names; None where it may not be listed."""
    try:
        return {name: said for name, said in listed(folder) if said["type"] != "directory"}
    except FileNotFoundError:
        return {}
    except PermissionError:
        return None
