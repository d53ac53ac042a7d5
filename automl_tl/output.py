"""Files that are there only when all of them is written; those that users ask for are refused before the work."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from automl_tl.errors import OptionError
from automl_tl.wording import no_formula


def check_output(output: Path, option: str = "--output", *, read: Iterable[object] = ()) -> None:
    """Raise OptionError, which names the option, if a file cannot be written there: before the work, not after it.

    Args:
        output: the file to write.
        option: that names it.
        read: what is read meanwhile, which must not be replaced: paths, or addresses, which are none.
    """
    if str(output) == "-":
        raise OptionError(f"{option} '-' would be a file of that name, not standard output; name a file")
    file = _place(output)
    if file.is_dir():
        raise OptionError(f"{option} {str(output)!r} is a folder; name a file in it")
    if any(_place(Path(str(one))) == file for one in read):
        raise OptionError(f"{option} {str(output)!r} is what is read, and would be replaced; name another file")
    if _is_special(file) and os.access(file, os.W_OK):
        return
    folder = file.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "cannot be written" if folder.is_dir() else "does not exist"
        raise OptionError(f"{option} {str(output)!r}: its folder {what}; choose another one or make it first")


def check_new_folder(folder: Path, option: str) -> None:
    """Raise OptionError, which names the option, if a folder holds something already or cannot be made or written."""
    place = Path(os.path.expanduser(folder))
    if not place.exists():
        check_output(folder, option)
    elif not place.is_dir():
        raise OptionError(f"{option} {str(folder)!r} is a file; name a folder")
    elif not os.access(place, os.R_OK | os.W_OK):
        raise OptionError(f"{option} {str(folder)!r} cannot be written; choose another folder")
    elif any(place.iterdir()):
        raise OptionError(f"{option} {str(folder)!r} is not empty; name a new folder, so that nothing is overwritten")


@contextmanager
def whole(file: Path, ending: str = ".tmp") -> Iterator[Path]:
    """Yield a name beside `file` to write to, which becomes `file` if nothing is raised, and else is deleted.

    What is raised gets `file` as its `filename`, unless it has one.
    """
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}{ending}")  # machines that share a folder share numbers
    try:
        yield new
        new.replace(file)
    except Exception as error:
        name_file(error, file)
        raise
    finally:
        new.unlink(missing_ok=True)


def name_file(error: Any, file: Path) -> None:
    """Let an error of writing a file say which; a full disk's has no name, and that of safetensors is no OSError."""
    if getattr(error, "filename", None) is None:
        error.filename = str(file)


def _place(output: Path) -> Path:
    """Return where what is written to a name that was given comes to lie; a pipe has no other name (/dev/stdout)."""
    given = Path(os.path.expanduser(output))
    return given if _is_special(given) else Path(os.path.realpath(given))


def _is_special(file: Path) -> bool:
    """Return whether a file is a pipe or a device, which is written to and never replaced."""
    return file.exists() and not (file.is_file() or file.is_dir())


@contextmanager
def appearing(output: Path, option: str = "--output") -> Iterator[Path]:
    """Yield a name with the same ending to write to, as `whole` does; what `output` links to is replaced.

    Raises:
        OptionError: It cannot be written.
    """
    file = _place(output)
    try:
        with nullcontext(file) if _is_special(file) else whole(file, file.suffix) as new:
            yield new
    except OSError as error:
        if error.filename not in (None, str(file), str(new)):
            raise  # it is of another file, one that is read meanwhile
        raise OptionError(f"{option} {str(output)!r} cannot be written ({error.strerror or error})") from error


def write_csv(
    output: Path, columns: Sequence[str], rows: Iterable[Sequence[str | float]], option: str = "--output"
) -> None:
    """Write a table as CSV in UTF-8, with a header; no cell is a formula, numbers have six digits.

    Raises:
        OptionError: it cannot be written there.
    """
    with (
        appearing(output, option) as new,
        new.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\r\n")  # RFC 4180; so a cell with either of them is quoted
        table.writerow(columns)
        table.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: str | float) -> str:
    return no_formula(value) if isinstance(value, str) else f"{value:.6g}"
