"""Which form data has, and the pictures that it lists."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_tl.data.address import Address, Root, is_address
from automl_tl.data.cells import PARQUET_ENDINGS, TABLE_ENDINGS
from automl_tl.data.files import image_root_folder, not_read
from automl_tl.data.folders import ARCHIVE_ENDINGS, list_tree
from automl_tl.data.forms.archive import entries, list_archive
from automl_tl.data.forms.memory import Data, frame_of
from automl_tl.data.forms.parquet import holds_pictures, list_parquet
from automl_tl.data.forms.shards import expanded
from automl_tl.data.forms.webdataset import are_samples, list_webdataset, samples_of
from automl_tl.data.listing import Listing
from automl_tl.data.names import printable
from automl_tl.data.object_store import info, is_known, reached
from automl_tl.data.stored import forbidden, missing, stored_tree
from automl_tl.data.table import Columns, list_frame, list_table
from automl_tl.data.walk import Folder, is_picture_name, walk
from automl_tl.errors import DataError, OptionError

_OTHER_ARCHIVES = (".7z", ".rar")
_UNCOMPRESS = {
    ".gz": "gunzip --keep", ".tgz": "gunzip --keep", ".bz2": "bunzip2 --keep", ".tbz2": "bunzip2 --keep",
    ".xz": "unxz --keep", ".txz": "unxz --keep", ".zst": "unzstd",
}  # fmt: skip
"""What makes a file of the compressed one, by its ending."""
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_WANTED_OF_STORES = "a folder of class folders and a CSV, TSV or Parquet table of paths"
_WANTED = "a folder of class folders, a zip or tar of them, or a CSV, TSV or Parquet table"


@dataclass(frozen=True)
class Reading:
    """How data is to be read where its form leaves a choice."""

    columns: Columns
    """Of a table."""
    split_folders: Mapping[str, str] | None
    """Which folders are which part of a split."""
    image_root: str | os.PathLike[str] | None
    """Where the relative paths of a table start."""
    extension: str
    """What is added to names in a table that lack it."""

    def check(self, what: str, read: frozenset[str]) -> None:
        """Raise OptionError for an option that is given though such data does not read it.

        Args:
            what: the data, for people: "the folder 'photos'".
            read: the options that are read.
        """
        columns = self.columns
        given = {
            "--path-column": columns.path != Columns.path, "--label-column": columns.label != Columns.label,
            "--split-column": columns.split is not None, "--group-column": columns.group is not None,
            "--image-root": self.image_root is not None, "--extension": bool(self.extension),
            "--split-folder": self.split_folders is not None,
        }  # fmt: skip
        unread = [flag for flag, is_given in given.items() if is_given and flag not in read]
        if unread:
            it = "it" if len(unread) == 1 else "them"
            table = ", or list the pictures in a CSV file" if _READ_OF_TABLES.issuperset(unread) else ""
            raise OptionError(f"{' and '.join(unread)} cannot be used with {what}: leave {it} out{table}")


_READ_OF_FOLDERS = frozenset({"--split-folder"})
_READ_OF_SHARDS = frozenset({"--label-column", "--group-column"})
_READ_OF_PARQUET = _READ_OF_SHARDS | {"--path-column", "--split-column"}
_READ_OF_TABLES = _READ_OF_PARQUET | {"--image-root", "--extension"}


def list_data(data: Data, how: Reading) -> tuple[Root, Listing]:
    """Return what `data` names, absolute, or what it is called in memory, and the labelled pictures there.

    Raises:
        DataError: Nothing can be made of it.
        OptionError: `how` does not go with its form.
    """
    if not isinstance(data, str | os.PathLike):
        name, frame = frame_of(data, how.columns)
        how.check("pictures in memory", _READ_OF_TABLES)
        place = image_root_folder(how.image_root)
        return name, list_frame(name, frame, how.columns, image_root=place, extension=how.extension)
    return _in_store(Address(data), how) if is_address(data) else _on_disk(data, how)


def _in_store(root: Address, how: Reading) -> tuple[Root, Listing]:
    """Return what lies at an address: class folders, or a table of pictures."""
    if kind_at(root) == "directory":
        listing = Listing(form="folders in an object store")
        listing = list_tree(stored_tree(root, listing), listing, how.split_folders)
        how.check(f"the folder '{printable(root)}'", _READ_OF_FOLDERS)
        return root, listing
    if root.suffix.lower() not in TABLE_ENDINGS:
        raise DataError(
            f"'{printable(root)}' is neither a folder nor a table: of an object store {_WANTED_OF_STORES} are read; "
            "copy anything else to this machine."
        )
    how.check(f"the table '{printable(root)}'", _READ_OF_TABLES)
    place = image_root_folder(how.image_root)
    with reached(str(root)):
        return root, list_table(root, how.columns, image_root=place, extension=how.extension)


def check_known(address: Address) -> None:
    """Raise DataError for an address of the web, or of a store that is not known."""
    if not is_known(str(address)):
        raise DataError(f"'{printable(address)}' is {not_read(str(address))}.")


def kind_at(address: Address) -> str:
    """Return "directory" or "file"; raises DataError where there is nothing, or the address cannot be read."""
    check_known(address)
    try:
        return str(info(str(address))["type"])
    except FileNotFoundError:
        raise missing(address) from None
    except PermissionError:
        raise forbidden(address) from None


def _on_disk(data: str | os.PathLike[str], how: Reading) -> tuple[Path, Listing]:
    if not os.path.lexists(os.path.expanduser(data)) and any(mark in os.fspath(data) for mark in "{*?["):
        return _of_pattern(data, how)
    root = _existing(data)
    ending = root.suffix.lower()
    if root.is_dir():
        return root, _in_folder(root, how)
    if (listing := _of_shards([root], how)) is not None:
        return root, listing
    if ending in TABLE_ENDINGS:
        how.check(f"the table '{printable(root)}'", _READ_OF_TABLES)
        place = image_root_folder(how.image_root)
        return root, list_table(root, how.columns, image_root=place, extension=how.extension)
    if ending in ARCHIVE_ENDINGS:
        how.check(f"the archive '{printable(root)}'", _READ_OF_FOLDERS)
        return root, list_archive(root, how.split_folders)
    raise DataError(_neither(root))


def _of_pattern(pattern: str | os.PathLike[str], how: Reading) -> tuple[Path, Listing]:
    """Return what several files hold that a pattern stands for."""
    root = os.path.abspath(os.path.expanduser(pattern))
    if (listing := _of_shards(expanded(root), how)) is None:
        raise DataError(
            f"The files that '{printable(root)}' stands for are neither Parquet files nor tars of labelled pictures."
        )
    return Path(root), listing


def _in_folder(root: Path, how: Reading) -> Listing:
    """Return what a folder holds: class folders or, where there are no two of them, files that hold pictures."""
    listing = Listing(form="folders")
    tree = walk(root, listing)
    if not _has_classes(tree):
        shards = _of_shards([Path(one.path) for one in listing.skipped], how)
        if shards is not None:
            for path in tree.all_pictures():
                shards.skip(path, "lies beside the files that hold the pictures")
            return shards
    listing = list_tree(tree, listing, how.split_folders)
    how.check(f"the folder '{printable(root)}'", _READ_OF_FOLDERS)
    return listing


def _has_classes(tree: Folder) -> bool:
    """Return whether more than one folder holds pictures where class folders would lie."""
    while len(tree.children) == 1:
        (tree,) = tree.children
    return bool(tree.children)


def _of_shards(files: Sequence[Path], how: Reading) -> Listing | None:
    """Return what those of the files hold that hold labelled pictures themselves, or None where none does."""
    tables = [file for file in files if file.suffix.lower() in PARQUET_ENDINGS and holds_pictures(file, how.columns)]
    if tables:
        how.check(f"the pictures in '{printable(tables[0])}'", _READ_OF_PARQUET)
        return list_parquet(tables, how.columns, Listing())
    tars = [file for file in files if file.suffix.lower() == ".tar"]
    if tars and are_samples(samples_of(entries(tars[0])), how.columns):
        how.check(f"the samples in '{printable(tars[0])}'", _READ_OF_SHARDS)
        return list_webdataset(tars, how.columns, Listing())
    return None


def _existing(path: str | os.PathLike[str]) -> Path:
    if not os.fspath(path).strip():
        raise DataError(f"The path of the data is empty: give {_WANTED}.")
    absolute = Path(os.path.abspath(os.path.expanduser(path)))
    try:
        os.stat(absolute)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"There is no file or folder '{printable(path)}': give {_WANTED}.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"'{printable(path)}' cannot be opened ({reason}): check the path and its permissions."
        ) from None
    return absolute


def _neither(root: Path) -> str:
    """Return the sentence for a file that is no table."""
    name, lower = f"'{printable(root)}'", root.name.lower()
    if command := _UNCOMPRESS.get(root.suffix.lower()):
        return (
            f"{name} is compressed as a whole, so no picture in it can be read without all before it: type "
            f"{command} {shlex.quote(printable(root))} and give the file that this makes, which is read as it is, or "
            "unpack it and give the folder."
        )
    if lower.endswith(_OTHER_ARCHIVES):
        return (
            f"{name} is an archive: unpack it and give the folder, or make it a .zip or a .tar without compression, "
            "which are read as they are."
        )
    if lower.endswith(_SPREADSHEETS):
        return f"{name} is a spreadsheet: save it as CSV with UTF-8 encoding and give that file."
    if is_picture_name(lower):
        return f"{name} is a single picture: give {_WANTED}."
    return f"{name} is neither a folder nor a table: give {_WANTED}."
