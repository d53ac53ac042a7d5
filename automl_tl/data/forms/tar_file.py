"""Files inside a tar without compression, read in place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from automl_tl.data.forms.entries import Entry, unreadable
from automl_tl.data.source import file_version
from automl_tl.errors import PictureError


@dataclass(frozen=True)
class TarMember:
    """A file inside a tar: some bytes in a row."""

    name: str
    archive: str
    offset: int
    """Of its first byte."""
    size: int
    """Bytes."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.archive, self.offset

    @property
    def version(self) -> str:
        """See `Source`."""
        return f"{file_version(self.archive)}\0{self.offset}"

    def open(self) -> BinaryIO:
        """See `Source`."""
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise PictureError("truncated or damaged (the archive ends within it)")
        return io.BytesIO(content)


def tar_entries(archive: Path) -> Iterator[Entry]:
    """Yield what a tar holds, one header at a time; raises `DataError` where it cannot be read."""
    try:
        with tarfile.open(archive, "r:") as file:
            while (info := file.next()) is not None:
                file.members.clear()  # type: ignore[attr-defined]  # it keeps them all, and a hostile tar has many
                yield _entry(archive, info)
    except Exception as error:  # of damaged headers tarfile raises nearly everything
        raise unreadable(archive, "a tar without compression", error) from error


def _entry(archive: Path, info: tarfile.TarInfo) -> Entry:
    path = PurePosixPath(info.name)
    source = TarMember(str(archive / path), str(archive), info.offset_data, info.size)
    return Entry(path, _kind(info), info.size, source)


def _kind(info: tarfile.TarInfo) -> Literal["file", "folder", "link", "device"]:
    if info.issym() or info.islnk():
        return "link"
    if info.isdir():
        return "folder"
    return "file" if info.isreg() and not info.issparse() else "device"
