"""A folder of class folders, with or without train, val and test folders above them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import PurePath

from automl_tl.data.cells import TABLE_ENDINGS
from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import printable, quoted, split_name
from automl_tl.data.parts import parts_of_classes, split_parts, unwrapped
from automl_tl.data.walk import Folder
from automl_tl.errors import DataError
from automl_tl.wording import plural

ARCHIVE_ENDINGS = (".zip", ".tar")
"""Of archives that are read as they are."""
_PACKED_ENDINGS = (".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


def list_tree(root: Folder, listing: Listing, split_folders: Mapping[str, str] | None = None) -> Listing:
    """Return `listing` with the labelled pictures of a tree, of `walk` or of an archive.

    - Each folder in `root` is a class, named after the folder; the folders below it belong to that class.
    - Where the folders in `root` are the parts of a split (see `parts.split_parts`), the classes lie in them; where
      every class holds nothing but such parts, they are those of the split.
    - A single folder that holds the class folders is descended into.
    - Pictures that lie beside class folders have no class and are left out.

    `split_folders` says which folders are which part; empty: none is.

    Raises `DataError` where there are no class folders, or where it cannot be told what the folders are.
    """
    folder = _descend(root, listing)
    if not folder.children:
        raise DataError(_no_classes(folder, listing))
    if split_folders is None and (named := parts_of_classes(folder)):
        _list_parts_of_classes(folder, named, listing)
        return listing
    parts = split_parts(folder, split_folders)
    if parts:
        _list_parts(folder, parts, listing)
    else:
        _note_ignored_splits(folder, listing)
        _list_classes(folder, "", listing)
    return listing


def _descend(folder: Folder, listing: Listing) -> Folder:
    """Return the folder that holds the class folders."""
    while len(folder.children) == 1 and _holds_classes(folder.children[0]):
        _skip_loose(folder, listing)
        (folder,) = folder.children
        listing.notes.append(f"Only '{printable(folder.name)}' holds pictures, so the classes are those in it.")
    return folder


def _holds_classes(folder: Folder) -> bool:
    """Return whether the folders in `folder` look like classes rather than like parts of one class."""
    return len(folder.children) > (1 if folder.pictures else 0)


def _list_parts(folder: Folder, parts: Mapping[str, str], listing: Listing) -> None:
    _skip_loose(folder, listing)
    for child in folder.children:
        if child.name not in parts or not child.children:
            listing.notes.append(f"The pictures in '{printable(child.name)}' lie in no class folder and are left out.")
        if child.name in parts:
            _list_classes(unwrapped(child), parts[child.name], listing)
        else:
            for path in child.all_pictures():
                listing.skip(path, "lies beside the parts of the split, so it has no class")


def _list_parts_of_classes(folder: Folder, parts: Mapping[str, str], listing: Listing) -> None:
    _skip_loose(folder, listing)
    for child in folder.children:
        for part in child.children:
            listing.rows.extend(Row(path, _label(child), parts[part.name]) for path in part.all_pictures())
    listing.notes.append(f"Every class holds the parts of a split ({quoted(list(parts))}), which are taken as given.")


def _label(folder: Folder) -> str:
    """Return one label for one name: macOS writes accents as letter plus accent, others as one character."""
    return unicodedata.normalize("NFC", folder.name)


def _list_classes(folder: Folder, split: str, listing: Listing) -> None:
    _skip_loose(folder, listing)
    for child in folder.children:
        listing.rows.extend(Row(path, _label(child), split) for path in child.all_pictures())
    empty = [child.name for child in folder.folders if not (child.pictures or child.children)]
    if empty:
        listing.notes.append(f"No pictures in {quoted(empty)}: no class is made of an empty folder.")
    merged = [child for child in folder.children if len(child.children) > 1]
    if merged and (note := _merged(merged)) not in listing.notes:
        listing.notes.append(note)


def _merged(classes: list[Folder]) -> str:
    """Return the remark on class folders that hold several folders of pictures."""
    first, more = classes[0], f" (and so it is with {len(classes) - 1} more)" if classes[1:] else ""
    return (
        f"The folders in '{printable(first.name)}' ({quoted([one.name for one in first.children])}) are taken together "
        f"as one class{more}: where they are classes, give the folder that holds them."
    )


def _skip_loose(folder: Folder, listing: Listing) -> None:
    for path in folder.pictures:
        listing.skip(path, "lies beside the class folders, so it has no class")


def _note_ignored_splits(folder: Folder, listing: Listing) -> None:
    named = [child.name for child in folder.children if split_name(child.name)]
    others = [child.name for child in folder.children if not split_name(child.name)]
    if named and others:
        why = f"{quoted(others)} lies beside it"
        listing.notes.append(f"{quoted(named)} is taken as a class, not as a part of a split, because {why}.")


def _no_classes(folder: Folder, listing: Listing) -> str:
    """Return the sentence for a folder without class folders, with the likeliest way out."""
    where = f"'{printable(folder.path)}'"
    if folder.pictures:
        return (
            f"{where} holds {plural(len(folder.pictures), 'picture')} directly, without a class: put them "
            "into one folder for each class, or give a CSV table with the columns path and label."
        )
    tables = _ending_with(TABLE_ENDINGS, listing)
    if tables:
        return f"There is no picture in {where}, but a table: to use it, give '{printable(tables[0])}' itself."
    archives = _ending_with((*ARCHIVE_ENDINGS, *_PACKED_ENDINGS), listing)
    if archives:
        itself = f"give '{printable(archives[0])}' itself, or " if archives[0].lower().endswith(ARCHIVE_ENDINGS) else ""
        return f"There is no picture in {where}, but an archive, '{printable(archives[0])}': {itself}unpack it."
    names = {PurePath(skipped.path).name for skipped in listing.skipped}
    if "dataset_info.json" in names and _ending_with((".arrow",), listing):
        return (
            f"There is no picture in {where}, but a data set as Hugging Face's save_to_disk writes it: give "
            "load_from_disk(...) of it in Python, or write it as Parquet files."
        )
    others = f" (other files: {len(listing.skipped)})" if listing.skipped else ""
    return f"There is no picture in {where}{others}: give a folder with one folder of pictures for each class."


def _ending_with(endings: tuple[str, ...], listing: Listing) -> list[str]:
    return [skipped.path for skipped in listing.skipped if skipped.path.lower().endswith(endings)]
