"""What a user names: a path of this machine, or an address in an object store, s3://bucket/folder for example."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

from automl_tl.data.object_store import opened, scheme_of


class Address(PurePosixPath):
    """Where something lies in an object store, with what `Path` has for names: `name`, `suffix`, `parent`, `/`."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def open(self, mode: str = "rb") -> IO[Any]:
        """Return the object as a file that is read as it is asked for; see `object_store.opened`."""
        return opened(str(self), mode)


Root: TypeAlias = Path | Address


def is_address(path: str | os.PathLike[str]) -> bool:
    """Return whether something is an address of whatever scheme, and not a path of this machine.

    >>> is_address("s3://bucket/cat.jpg"), is_address("HTTPS://example.org"), is_address("C:/cat.jpg")
    (True, True, False)
    """
    return scheme_of(path) != ""


def absolute(path: str | os.PathLike[str]) -> str:
    """Return a path absolute, and an address as it is."""
    return os.fspath(path) if is_address(path) else os.path.abspath(os.path.expanduser(path))


def root_of(path: str | os.PathLike[str]) -> Root:
    """Return an address, or a path as it is."""
    return Address(path) if is_address(path) else Path(path)


def joined(folder: Address, relative: str) -> str:
    """Return the address that a relative path means, without "." and "..".

    >>> joined(Address("s3://bucket/set"), "../other/./cat.jpg")
    's3://bucket/other/cat.jpg'
    """
    scheme, _, rest = str(folder).partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join('/', rest, relative)).lstrip('/')}"
