"""Files that users ask for: refused before the work, and there only when all of it is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from automl_tl.errors import OptionError


def check_output(output: Path, option: str = "--output") -> None:
    """Raise OptionError, which names the option, if a file cannot be written there: before the work, not after it."""
    folder = output.expanduser().absolute().parent
    if output.expanduser().is_dir():
        raise OptionError(f"{option} {str(output)!r} is a folder; name a file in it")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "cannot be written" if folder.is_dir() else "does not exist"
        raise OptionError(f"{option} {str(output)!r}: its folder {what}; choose another one or make it first")


@contextmanager
def appearing(output: Path, option: str = "--output") -> Iterator[Path]:
    """Yield a name with the same ending to write to, which becomes `output` if nothing is raised, and else is deleted.

    Raises:
        OptionError: It cannot be written.
    """
    file = output.expanduser().absolute()
    new = file.with_name(f".{file.stem}.tmp-{os.getpid()}{file.suffix}")
    try:
        yield new
        new.replace(file)
    except OSError as error:
        raise OptionError(f"{option} {str(output)!r} cannot be written ({error.strerror or error})") from error
    finally:
        new.unlink(missing_ok=True)
