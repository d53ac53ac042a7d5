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

from automl_tl.data.address import Address, Root, absolute, is_address, joined, root_of
from automl_tl.data.names import printable
from automl_tl.data.object_store import PACKAGES, is_known
from automl_tl.data.walk import is_picture_name
from automl_tl.errors import OptionError

_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE)
_MOST_FOLDERS = 1000


@dataclass(frozen=True)
class Place:
    """Where the files lie that a table names: on this machine, or in an object store."""

    folder: Root
    """Of the table, absolute."""
    root: Root | None = None
    """Where relative paths start and what they must not leave, absolute; default: the table's folder."""
    extension: str = ""
    """What is added to the cells that do not end in it, ".jpg" for example."""

    def find(self, cell: str) -> tuple[str, str | None]:
        """Return the absolute path that `cell` means, and why it is no picture's, or None.

        A relative path starts at the root or at the table's folder. Backslashes of Windows and accents as another
        system writes them are understood. Whether there is an object at an address is not looked up.
        """
        if problem := _no_path(cell):
            return cell, problem
        base = self.root or self.folder
        if is_address(cell):
            return cell, None
        if os.path.isabs(cell) and isinstance(self.folder, Address):
            return cell, "a path of this machine, but the table lies in an object store: name addresses"
        if isinstance(base, Address) and not os.path.isabs(cell):
            return self._in_store(base, cell)
        return self._on_disk(cell)

    def _in_store(self, base: Address, cell: str) -> tuple[str, str | None]:
        address = joined(base, self._whole(cell).replace("\\", "/"))
        inside = address.startswith(f"{base}/")
        return address, None if inside else "leads out of the table's folder: name it by its whole address"

    def _on_disk(self, cell: str) -> tuple[str, str | None]:
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
        return tuple(base for base in (self.root, self.folder) if isinstance(base, Path))

    def _candidates(self, cell: str) -> Iterator[str]:
        """Yield the paths that `cell` may mean, the likeliest first."""
        plain = self._whole(cell)
        texts = [plain, plain.replace("\\", "/")] if os.sep == "/" else [plain]
        for base in self._bases:
            yield from (os.path.normpath(base / text) for text in texts)
        for base in self._bases:
            for form in ("NFC", "NFD"):
                yield from (os.path.normpath(base / unicodedata.normalize(form, text)) for text in texts)

    def _whole(self, cell: str) -> str:
        """Return a cell with the ending that its table leaves out."""
        ending = "." + self.extension.lstrip(".") if self.extension else ""
        return cell if cell.lower().endswith(ending.lower()) else cell + ending

    def _holds(self, path: str) -> bool:
        return any(os.path.join(path, "").startswith(os.path.join(base, "")) for base in self._bases)

    def _below(self) -> Iterator[str]:
        """Yield the picture files below the table's folder, of the first thousand folders; in a store none."""
        if isinstance(self.folder, Address):
            return
        for folder, folders, names in islice(os.walk(self.folder), _MOST_FOLDERS):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names) if is_picture_name(name))


def image_root_folder(given: str | os.PathLike[str] | None) -> Root | None:
    """Return the absolute folder, or the address, where a table's pictures lie; raises OptionError for any other."""
    if given is None:
        return None
    root = root_of(absolute(given))
    if isinstance(root, Address) and not is_known(str(root)):
        raise OptionError(f"--image-root '{printable(given)}': {not_read(str(root))}")
    if isinstance(root, Path) and not root.is_dir():
        raise OptionError(f"--image-root '{printable(given)}' is no folder: give the folder where the pictures lie")
    return root


def not_read(address: str) -> str:
    """Return why an address of an unknown scheme, "https" for example, is not read."""
    known = ", ".join(f"{scheme}://" for scheme in PACKAGES)
    return f"an address, not a file: download it and name its file, or name an object ({known})"


def _no_path(cell: str) -> str | None:
    if not cell:
        return "no path"
    if is_address(cell):
        if not is_known(cell):
            return not_read(cell)
        return None if "/" in cell.partition("://")[2].strip("/") else "the address of a bucket, not of a picture"
    if os.sep == "/" and _DRIVE.match(cell):
        return "a path on a Windows drive: name the files from the table's folder"
    return None


def _leads_out(base: Path, path: str) -> str:
    root = shlex.quote(printable(os.path.commonpath([base, path])))
    return f"leads out of the table's folder: allow it by --image-root {root}"
