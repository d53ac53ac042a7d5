"""Files inside a zip file, read in place."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from automl_tl.data.forms.entries import Entry, unreadable
from automl_tl.data.names import printable
from automl_tl.data.source import file_version
from automl_tl.errors import DataError, PictureError

_HEADER = struct.Struct("<4s22xHH")  # of a file: the mark, the lengths of its name and of what else is noted
_ENCRYPTED, _UTF8 = 0x1, 0x800


@dataclass(frozen=True)
class ZipMember:
    """A file inside a zip file: stored as it is, or deflated."""

    name: str
    archive: str
    offset: int
    """Of its header, bytes."""
    stored: int
    """Bytes in the archive."""
    size: int
    """Bytes of the file."""
    deflated: bool

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.archive, self.offset

    @property
    def version(self) -> str:
        """See `Source`."""
        return f"{file_version(self.archive)}\0{self.offset}"

    def open(self) -> BinaryIO:
        """See `Source`; no more is unpacked than the archive declares."""
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            mark, *lengths = _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
            file.seek(sum(lengths), io.SEEK_CUR)
            content = file.read(self.stored)
        if mark != b"PK\3\4":
            raise PictureError("truncated or damaged (the archive has no file where it says)")
        if self.deflated:
            most = max(self.size, 1)  # zlib takes 0 for no bound at all
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, most)
        if len(content) != self.size:
            raise PictureError("truncated or damaged (the archive holds less of it than it says)")
        return io.BytesIO(content)


def zip_entries(archive: Path) -> Iterator[Entry]:
    """Yield what a zip file lists; raises `DataError` where it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
    except Exception as error:  # of damaged lists zipfile raises nearly everything
        raise unreadable(archive, "a zip file", error) from error
    _check_apart(archive, infos)
    yield from (_entry(archive, info) for info in infos)


def _check_apart(archive: Path, infos: Iterable[zipfile.ZipInfo]) -> None:
    """Raise `DataError` where the files take more bytes than there are: then some are others once more, as in bombs."""
    taken, there = sum(info.compress_size for info in infos), archive.stat().st_size
    if taken > there:
        raise DataError(
            f"The archive '{printable(archive)}' is not read, as its files are said to take {taken:,} bytes of its "
            f"{there:,}, so some lie over others: give one of ordinary picture files, or a folder."
        )


def _entry(archive: Path, info: zipfile.ZipInfo) -> Entry:
    path = PurePosixPath(_name(info).replace("\\", "/"))
    encrypted = bool(info.flag_bits & _ENCRYPTED)
    if encrypted or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "encrypted" if encrypted else "compressed in an unusual way"
        raise DataError(
            f"'{printable(str(path))}' in the zip file '{printable(archive)}' is {how}: unpack it and give the folder."
        )
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    name = str(archive / path)
    source = ZipMember(name, str(archive), info.header_offset, info.compress_size, info.file_size, deflated)
    return Entry(path, _kind(info), info.file_size, source)


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of a file: UTF-8 as Unix's `zip` and macOS write it without the flag that says so, else cp437."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "link", "device"]:
    mode = info.external_attr >> 16  # as Unix has it; 0 where another system made the file
    if stat.S_ISLNK(mode):
        return "link"
    if info.is_dir() or stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) or not stat.S_IFMT(mode) else "device"
