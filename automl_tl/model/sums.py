"""The checksums of a bundle's files: written so that `sha256sum -c SHA256SUMS` checks them, and told in sentences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from automl_tl.data.names import printable
from automl_tl.foreign import read_bytes
from automl_tl.model.errors import BundleError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_LARGEST = 4096
_SHOWN = 12
WAY_OUT = "copy the bundle again, or make it again"


def sha256(file: Path) -> str:
    """Return a file's sha256, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write SHA256SUMS with a line for each of the files, by their names."""
    lines = [f"{own}  {name}\n" for name, own in sums.items()]
    (folder / SUMS).write_text("".join(lines), encoding="ascii", newline="\n")


def read_sums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the sums by file name.

    Raises:
        BundleError: The file does not hold exactly one line for each of `names`.
    """
    try:
        lines = read_bytes(folder / SUMS, _LARGEST).decode("ascii").splitlines()
    except ValueError:
        lines = []
    found = [match for line in lines if (match := _LINE.fullmatch(line)) is not None]
    sums = {match[2]: match[1] for match in found}
    if len(found) != len(lines) or sorted(sums) != sorted(names):
        raise BundleError(
            f"{SUMS} of the bundle '{printable(folder)}' is damaged: it must have one line for each of "
            f"{' and '.join(names)}, but has {len(lines)} of which {len(found)} can be read; {WAY_OUT}."
        )
    return sums


def gap(expected: str, actual: str) -> str:
    """Return two sums in short, for a sentence."""
    return f"its sha256 should begin with {expected[:_SHOWN]}, but begins with {actual[:_SHOWN]}"
