"""Which column of a table is which: as the user names them, whatever their case, or what to name instead."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from automl_tl.data.address import Root
from automl_tl.data.names import printable, quoted
from automl_tl.data.walk import is_picture_name
from automl_tl.errors import DataError

_WELL_KNOWN = {
    "path": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name",
        "image_file", "img", "img_path", "picture", "photo", "image_id", "id", "name", "uri", "url",
    ),
    "label": ("label", "class", "category", "target", "class_name", "label_name", "species", "breed", "tag", "y"),
}  # fmt: skip


def find_columns(table: Root, wanted: Mapping[str, str], there: Sequence[str]) -> dict[str, int]:
    """Return the position of every column that is wanted.

    Args:
        table: for the sentences.
        wanted: name of the column by what it is for: "path", "label", "split", "group".
        there: names of the table's columns, in their order.

    Raises:
        DataError: A column is not there, or is there twice.
    """
    found = {use: matching(name, there) for use, name in wanted.items()}
    if missing := [use for use, places in found.items() if not places]:
        raise DataError(_missing(table, {use: wanted[use] for use in missing}, there))
    for use, places in found.items():
        if len(places) > 1:
            raise DataError(_twice(table, wanted[use], places, there))
    return {use: places[0] for use, places in found.items()}


def has_column(name: str, there: Sequence[str]) -> bool:
    """Return whether the table has a column of that name, whatever its case."""
    return bool(matching(name, there))


def matching(name: str, there: Sequence[str]) -> list[int]:
    """Return the positions of the columns of that name; where there is none, whatever their case."""
    exact = [place for place, one in enumerate(there) if one == name]
    return exact or [place for place, one in enumerate(there) if one.casefold() == name.strip().casefold()]


def _missing(table: Root, missing: Mapping[str, str], there: Sequence[str]) -> str:
    column = "no column" if len(missing) == 1 else "no columns"
    what = f"The table '{printable(table)}' has {column} {quoted(list(missing.values()))}"
    if any(is_picture_name(name) for name in there):
        return (
            f"{what}: its first line is {quoted(list(there))}, so put one that names the columns (path,label) on top."
        )
    known = {use: name for use in missing if (name := _well_known(use, there)) is not None}
    options = " ".join(f"--{use}-column {shlex.quote(printable(name))}" for use, name in known.items())
    rest = " and ".join(f"--{use}-column" for use in missing if use not in known)
    way_out = " and ".join(filter(None, (options and f"give {options}", rest and f"name one with {rest}")))
    return f"{what}; its columns are {quoted(list(there), at_most=20)}: {way_out}."


def _well_known(use: str, there: Sequence[str]) -> str | None:
    """Return the column that is probably meant."""
    plain = {name.casefold().replace(" ", "_").replace("-", "_"): name for name in there}
    return next((plain[name] for name in _WELL_KNOWN.get(use, ()) if name in plain), None)


def _twice(table: Root, name: str, places: Sequence[int], there: Sequence[str]) -> str:
    names = " and ".join(f"'{printable(there[place])}' (column {place + 1})" for place in places)
    return f"The table '{printable(table)}' has several columns for '{printable(name)}', {names}: rename all but one."
