"""Which file a cell of a table means, and why it means none."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from automl_tl.data.names import printable
from automl_tl.data.walk import is_picture_name
from automl_tl.errors import OptionError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE)
_MOST_FOLDERS = 1000


@dataclass(frozen=True)
class Place:
    """Where the files lie that a table names."""

    folder: Path
    """Of the table, absolute."""
    root: Path | None = None
    """Where relative paths start and what they must not leave, absolute; default: the table's folder."""
    extension: str = ""
    """What is added to the cells that do not end in it, ".jpg" for example."""

    def find(self, cell: str) -> tuple[str, str | None]:
        """Return the absolute path that `cell` means, and why it is no picture's, or None.

        A relative path starts at the root or at the table's folder. Backslashes of Windows and accents as another
        system writes them are understood.
        """
        if problem := _no_path(cell):
            return cell, problem
        missing = []
        for path in self._candidates(cell):
            if os.path.isabs(cell) or self._holds(path):
                if os.path.isfile(path):
                    return path, None
                missing.append(path)
        if missing:
            return missing[0], "a folder, not a picture" if os.path.isdir(missing[0]) else "no such file"
        path = next(self._candidates(cell))
        return path, _leads_out(self._bases[0], path)

    def proposal(self, cell: str) -> str:
        """Return the options with which a file of that name is found below the table's folder, or nothing."""
        for path in self._below():
            stem, ending = os.path.splitext(path)
            extension = ending if stem.endswith(os.sep + cell) else ""
            if path.endswith(os.sep + cell + extension):
                root = path.removesuffix(os.sep + cell + extension)
                options = [] if root == str(self.folder) else ["--image-root", printable(root)]
                return shlex.join([*options, "--extension", extension] if extension else options)
        return ""

    @property
    def _bases(self) -> tuple[Path, ...]:
        return (self.folder,) if self.root is None else (self.root, self.folder)

    def _candidates(self, cell: str) -> Iterator[str]:
        """Yield the paths that `cell` may mean, the likeliest first."""
        ending = "." + self.extension.lstrip(".") if self.extension else ""
        plain = cell if cell.lower().endswith(ending.lower()) else cell + ending
        texts = [plain, plain.replace("\\", "/")] if os.sep == "/" else [plain]
        for base in self._bases:
            yield from (os.path.normpath(base / text) for text in texts)
        for base in self._bases:
            for form in ("NFC", "NFD"):
                yield from (os.path.normpath(base / unicodedata.normalize(form, text)) for text in texts)

    def _holds(self, path: str) -> bool:
        return any(Path(path).is_relative_to(base) for base in self._bases)

    def _below(self) -> Iterator[str]:
        """Yield the picture files below the table's folder, of the first thousand folders."""
        for folder, folders, names in islice(os.walk(self.folder), _MOST_FOLDERS):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names) if is_picture_name(name))


def image_root_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """Return the absolute folder where a table's pictures lie; raises OptionError where there is none."""
    if given is None:
        return None
    root = Path(os.path.abspath(Path(given).expanduser()))
    if not root.is_dir():
        raise OptionError(f"--image-root '{printable(given)}' is no folder: give the folder where the pictures lie")
    return root


def _no_path(cell: str) -> str | None:
    if not cell:
        return "no path"
    if _ADDRESS.match(cell):
        return "an address, not a file: download the picture and name its file"
    if os.sep == "/" and _DRIVE.match(cell):
        return "a path on a Windows drive: name the files from the table's folder"
    return None


def _leads_out(base: Path, path: str) -> str:
    root = shlex.quote(printable(os.path.commonpath([base, path])))
    return f"leads out of the table's folder: allow it by --image-root {root}"
