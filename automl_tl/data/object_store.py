"""Object stores, reached through fsspec: the only file that knows it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

from automl_tl.data.names import printable
from automl_tl.errors import AutomlTlError, StoreError

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "memory": "fsspec"}
"""What is needed beside this package, by the scheme of the addresses that it reads."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime", "created")
"""Where stores note what changes with an object's bytes; the first that is there counts."""

Info = Mapping[str, Any]
"""What a store says of an object, or of what looks like a folder: "name", "type" and "size", and more."""


def scheme_of(address: str | os.PathLike[str]) -> str:
    """Return what stands before "://", in lower case, or nothing.

    >>> scheme_of("S3://bucket/cat.jpg"), scheme_of("cat.jpg")
    ('s3', '')
    """
    found = _SCHEME.match(os.fspath(address))
    return found[1].lower() if found else ""


def is_known(address: str) -> bool:
    """Return whether addresses of this scheme, which stores write in lower case, can be read."""
    return address.partition("://")[0] in PACKAGES


@cache
def file_system(scheme: str) -> Any:
    """Return fsspec's file system of a store, which several threads may use; raises StoreError where it is missing.

    Credentials and the place of a store are found as its own package does it (~/.aws, AWS_ENDPOINT_URL, ...).
    Listings are not remembered: they would take a kilobyte for every object, and grow old.
    """
    if scheme not in PACKAGES:  # fsspec would ask any server, and read any file of this machine
        raise StoreError(f"Addresses that begin with {scheme}:// are not read: {', '.join(PACKAGES)} are.")
    try:
        import fsspec

        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError:
        raise StoreError(
            f"Addresses that begin with {scheme}:// need the package {PACKAGES[scheme]}: "
            "pip install 'automl-tl[cloud]'."
        ) from None


@contextmanager
def reached(address: str) -> Iterator[Any]:
    """Give the file system of an address.

    Raises:
        FileNotFoundError: there is no such object, folder or bucket.
        PermissionError: it may not be read or listed.
        StoreError: whatever else a store or the network throws, in one sentence.
    """
    try:
        yield file_system(scheme_of(address))
    except (FileNotFoundError, PermissionError, AutomlTlError):
        raise
    except Exception as error:  # every store's package has errors of its own
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise StoreError(
            f"'{printable(address)}' cannot be reached ({reason}): check the address, the credentials and the network."
        ) from error


def info(address: str) -> Info:
    """Return what the store says of an address; raises as `reached` does."""
    with reached(address) as files:
        said: Info = files.info(address)
        return said


def listed(folder: str) -> list[tuple[str, Info]]:
    """Return the names directly in a folder, sorted, with what the store says of each; raises as `reached` does."""
    with reached(folder) as files:
        own = files._strip_protocol(folder).strip("/")
        found = [(one["name"].strip("/"), one) for one in files.ls(folder, detail=True)]
    inside = ((name.rpartition("/")[2], one) for name, one in found if name != own)  # a folder may be an object too
    return sorted(inside, key=lambda pair: pair[0])


def content(address: str) -> bytes:
    """Return the bytes of an object; raises as `reached` does."""
    with reached(address) as files:
        found: bytes = files.cat_file(address)
        return found


def opened(address: str, mode: str) -> IO[Any]:
    """Return an object as a file; raises as `reached` does."""
    with reached(address) as files:
        file: IO[Any] = files.open(address, mode)
        return file


def version_of(said: Info) -> str | None:
    """Return what changes when an object's bytes may have changed; None where the store says nothing of the kind."""
    known = next((str(said[name]) for name in _VERSIONS if said.get(name)), None)
    return None if known is None else f"{said.get('size')}\0{known}"
