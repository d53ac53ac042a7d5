"""The pictures that a user names: files, folders, archives, and tables of paths or of pictures; without labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO

import pandas as pd

from automl_tl.data.address import Address, Root, is_address
from automl_tl.data.cells import TABLE_ENDINGS, read_columns, read_header
from automl_tl.data.columns import find_columns
from automl_tl.data.files import Place, image_root_folder
from automl_tl.data.forms.recognise import check_known, kind_at
from automl_tl.data.forms.unlabelled import pictures_in
from automl_tl.data.listing import Listing, Skipped
from automl_tl.data.names import printable
from automl_tl.data.object_store import reached
from automl_tl.data.source import Readable, Source, as_source, readables
from automl_tl.data.stored import NO_OBJECT, Stored, look_up, stored_tree
from automl_tl.data.walk import is_picture_name, walk
from automl_tl.errors import DataError, OptionError


@dataclass(frozen=True)
class Input:
    """One picture to look at, or one that was named and cannot be."""

    shown: str
    """As it was named."""
    source: Readable = ""
    problem: str | None = None
    """Why there is nothing to open."""


def listed(paths: Iterable[str], stdin: IO[bytes] | None) -> list[str]:
    """Return paths with each "-" replaced by the lines of `stdin`, and each "@FILE" by those of a file.

    Blank lines do not count; paths that end in a zero byte (`find -print0`) are understood.

    Raises:
        DataError: The file cannot be read, or standard input is closed.
    """
    found: list[str] = []
    for path in paths:
        if path == "-" and stdin is None:
            raise DataError("Standard input is closed, so no path can be read from it: give a list as @FILE.")
        if path == "-" and stdin is not None:
            found += _lines(stdin.read().decode("utf-8", "surrogateescape"))
        elif path.startswith("@") and not os.path.lexists(path):
            found += _lines(_content(path[1:]))
        else:
            found.append(path)
    return found


def _content(name: str) -> str:
    try:
        return Path(os.path.expanduser(name)).read_bytes().decode("utf-8-sig", "surrogateescape")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The list '{printable(name)}' cannot be read ({reason}): give a file with a path a line."
        ) from None


def _lines(text: str) -> list[str]:
    lines = text.split("\0") if "\0" in text else text.replace("\r\n", "\n").split("\n")  # names may hold all others
    return [line for line in lines if line.strip()]


def list_inputs(
    paths: Readable | Iterable[Readable] | pd.DataFrame,
    *,
    path_column: str = "path",
    image_root: str | PathLike[str] | None = None,
    extension: str = "",
) -> tuple[Input, ...]:
    """Return every picture that `paths` name, in their order, as often as it is named; none is opened.

    - A folder stands for the picture files below it, at any depth, sorted; hidden and other files are passed over.
      What looks like a picture and cannot be opened (a broken link, a name that is no text) comes last.
    - A CSV, TSV or Parquet table stands for its rows: a column names the files, from the table's folder or
      `image_root`, with `extension` added where they lack it; other columns, the labels too, do not matter. A row that
      names no picture keeps its place, with the problem.
    - A zip file, a tar without compression and a Parquet file of pictures stand for those in it, in their order there.
    - An address in an object store (s3://bucket/new) stands for a picture, a folder or a table, as on the disk.
    - A picture in memory, bytes of a file, uint8 (H, W, 3) or Pillow's, is called by its number.
    - A `DataFrame` stands for its rows, as a table in the current folder; its column may hold pictures in memory, too.
    - Anything else is taken as a picture, whatever its ending. One with a picture's ending that does not exist keeps
      its place, with the problem.

    Raises:
        DataError: A name that is no picture's does not exist; a folder or table has no picture; no path is given, or
            something that is neither a path nor a picture.
        OptionError: A column, folder or ending is given though no table is named.
    """
    root = image_root_folder(image_root)
    if isinstance(paths, pd.DataFrame):
        return tuple(_in_frame(paths, path_column, root, extension))
    given = readables(paths)
    columns = {"--path-column": path_column != "path", "--image-root": root is not None}
    _check_read(given, {**columns, "--extension": bool(extension)})
    found: list[Input] = []
    for number, one in enumerate(given, start=1):
        if isinstance(one, str | PathLike):
            found += _listed(os.fspath(one), path_column, root, extension)
        else:
            source = as_source(one, f"picture {number}")
            found.append(Input(source.name, source))
    if not found:
        raise DataError("No picture is named: give picture files, folders, or a CSV or Parquet table.")
    return tuple(found)


def _in_frame(frame: pd.DataFrame, column: str, root: Root | None, extension: str) -> Iterator[Input]:
    place = find_columns(Path("DataFrame"), {"path": column}, [str(name) for name in frame.columns])["path"]
    files = Place(Path.cwd(), root, extension)
    for number, cell in enumerate(frame.iloc[:, place], start=1):
        if not isinstance(cell, str | PathLike):
            source = as_source(readables(cell)[0], f"picture {number}")
            yield Input(source.name, source)
            continue
        path, problem = files.find(os.fspath(cell))
        yield Input(os.fspath(cell), path, None if problem is None else f"{problem} (row {number} of the table)")


def _check_read(given: Iterable[Readable], options: Mapping[str, bool]) -> None:
    """Raise OptionError for an option of tables where no table is named."""
    named = (os.fspath(one) for one in given if isinstance(one, str | PathLike))
    asked = [flag for flag, is_given in options.items() if is_given]
    if asked and not any(one.lower().endswith(TABLE_ENDINGS) for one in named):
        it = "it" if len(asked) == 1 else "them"
        raise OptionError(f"{' and '.join(asked)} cannot be used without a table of pictures: leave {it} out")


def _listed(path: str, path_column: str, root: Root | None, extension: str) -> Iterator[Input]:
    if is_address(path):
        yield from _in_store(Address(path), path_column, root, extension)
        return
    file = os.path.expanduser(path)
    try:
        exists = os.path.exists(file)
    except ValueError:  # a zero byte in the name
        exists = False
    if not exists and not is_picture_name(path):
        raise DataError(f"There is no file or folder '{printable(path)}': give pictures, folders, or a table of paths.")
    if not exists:
        yield Input(path, file, "no such file")
    elif os.path.isdir(file):
        yield from _in_folder(path, Path(file))
    elif (sources := pictures_in(Path(os.path.abspath(file)), path_column)) is not None:
        yield from _in_file(path, os.path.abspath(file), sources)
    elif file.lower().endswith(TABLE_ENDINGS):
        yield from _in_table(path, Path(os.path.abspath(file)), path_column, root, extension)
    else:
        yield Input(path, file)


def _in_store(address: Address, column: str, root: Root | None, extension: str) -> Iterator[Input]:
    named = str(address)
    check_known(address)
    if is_picture_name(address.name):
        yield Input(named, Stored(named))
    elif kind_at(address) == "directory":
        listing = Listing()
        found = [Input(one, listing.sources[one]) for one in stored_tree(address, listing).all_pictures()]
        if not found:
            raise DataError(f"There is no picture at '{printable(named)}': give an address that holds pictures.")
        yield from found
    elif address.suffix.lower() in TABLE_ENDINGS:
        with reached(named):
            yield from list(_in_table(named, address, column, root, extension))
    else:
        raise DataError(
            f"'{printable(named)}' is no picture, folder or table: copy it to this machine and name it there."
        )


def _in_folder(named: str, folder: Path) -> Iterator[Input]:
    listing = Listing()
    found: list[tuple[str, str | None]] = [(path, None) for path in walk(folder, listing).all_pictures()]
    found += [(one.path, one.reason) for one in listing.skipped if _matters(one)]
    if not found:
        others = f" (other files: {len(listing.skipped)})" if listing.skipped else ""
        raise DataError(
            f"There is no picture in the folder '{printable(named)}'{others}: give one that holds pictures."
        )
    for path, problem in found:
        yield Input(os.path.join(named, os.path.relpath(path, folder)), path, problem)


def _matters(skipped: Skipped) -> bool:
    """Return whether something in a folder looks like pictures but is none that can be opened."""
    return is_picture_name(skipped.path) or skipped.reason.startswith("cannot be opened")


def _in_file(named: str, file: str, sources: list[Source]) -> Iterator[Input]:
    if not sources:
        raise DataError(f"There is no picture in '{printable(named)}': give one that holds pictures.")
    for source in sources:
        yield Input(os.path.join(named, os.path.relpath(source.name, file)), source)


def _in_table(named: str, file: Root, column: str, root: Root | None, extension: str) -> Iterator[Input]:
    place = find_columns(file, {"path": column}, read_header(file))["path"]
    (cells,) = read_columns(file, [place])
    if not cells:
        raise DataError(f"The table '{printable(named)}' names no picture: give one row for each picture.")
    files = Place(file.parent, root, extension)
    found = [files.find(cell) for cell in cells]
    stored = look_up(path for path, problem in found if problem is None and is_address(path))
    for number, (cell, (path, problem)) in enumerate(zip(cells, found, strict=True), start=1):
        if problem is None and is_address(path) and path not in stored:
            problem = NO_OBJECT
        where = None if problem is None else f"{problem} (row {number} of the table)"
        yield Input(cell or f"row {number} of {os.path.basename(named)}", stored.get(path, path), where)
