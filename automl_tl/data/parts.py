"""Which folders are the parts of a split: by their names, by what lies in them, or as the user says."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping, Sequence

from automl_tl.data.names import natural, printable, quoted, split_name
from automl_tl.data.walk import Folder
from automl_tl.errors import DataError, OptionError


def split_parts(folder: Folder, given: Mapping[str, str] | None) -> dict[str, str]:
    """Return "train", "val" or "test" by the name of a folder in `folder`; nothing where they are classes.

    Folders of well-known names are parts if class folders lie in them. Folders that hold no pictures themselves but
    folders of the same names look like parts, whatever they are called: those of unknown names the user must name.

    Args:
        folder: holds the parts or the classes.
        given: part by name of a folder, as the user says; empty if there are none; None if nothing is said.

    Raises:
        DataError: It cannot be told which folders are parts.
        OptionError: `given` names no folder, or no part.
    """
    if given is None:
        return _found(folder)
    if not given:
        return {}
    parts = _named(folder) | _said(folder, given)
    if unknown := [one for one in _holders(folder, parts) if one.name not in parts]:
        raise DataError(_unknown_parts(folder, _holders(folder, parts), unknown))
    return parts


def parts_of_classes(folder: Folder) -> dict[str, str]:
    """Return the part by the name of every folder in the class folders, `cat/train`; nothing where others lie there."""
    if any(one.pictures or split_name(one.name) for one in folder.children):
        return {}
    parts = {inner.name: split_name(inner.name) for one in folder.children for inner in one.children}
    named = {name: part for name, part in parts.items() if part}
    return named if len(named) == len(parts) and len(set(named.values())) > 1 else {}


def _found(folder: Folder) -> dict[str, str]:
    """Return the parts that are known by their names; raises DataError where names and contents do not agree."""
    parts = _named(folder)
    holders = _holders(folder, parts)
    others = [one.name for one in folder.children if one.name not in parts]
    alike = len(holders) > 1 and _hold_the_same(holders)
    unknown = [one for one in holders if one.name not in parts]
    if alike and unknown and (parts or len(holders) == len(folder.children)):
        raise DataError(_unknown_parts(folder, holders, unknown))
    if parts and (alike or (holders and not others)):
        return parts
    if len(parts) > 1 and not others:
        raise DataError(_without_classes(folder, list(parts)))
    if others and any(len(unwrapped(one).children) > 1 for one in holders if one.name in parts):
        raise DataError(_part_beside(folder, parts, others))
    return {}


def _named(folder: Folder) -> dict[str, str]:
    """Return the part by the name of every folder that is called as one."""
    return {one.name: part for one in folder.children if (part := split_name(one.name))}


def _holders(folder: Folder, parts: Mapping[str, str]) -> list[Folder]:
    """Return the folders that could be parts: class folders lie in them, and no pictures beside these."""
    return [one for one in folder.children if one.children and (one.name in parts or not one.pictures)]


def unwrapped(part: Folder) -> Folder:
    """Return the folder that holds the class folders of a part: `train/train/cat` is `train/cat`."""
    while not part.pictures and len(part.children) == 1 and len(part.children[0].children) > 1:
        (part,) = part.children
    return part


def _said(folder: Folder, given: Mapping[str, str]) -> dict[str, str]:
    """Return what the user says, checked, with the parts as they are called here."""
    names = {unicodedata.normalize("NFC", one.name): one.name for one in folder.children}
    said = {}
    for name, part in given.items():
        if (known := split_name(part)) is None:
            raise OptionError(
                f"--split-folder {printable(name)}: a part is train, val or test, not '{printable(part)}'"
            )
        own = names.get(unicodedata.normalize("NFC", name))  # other systems write accents otherwise
        if own is None:
            where, there = printable(folder.path), quoted(list(names.values()))
            raise OptionError(f"--split-folder: there is no '{printable(name)}' among {there} in '{where}'")
        said[own] = known
    return said


def _hold_the_same(folders: Sequence[Folder]) -> bool:
    """Return whether each holds more than half of all the names of folders in them."""
    inside = [_names(one) for one in folders]
    every = set().union(*inside)
    return all(2 * len(names) > len(every) for names in inside)


def _names(folder: Folder) -> set[str]:
    return {one.name for one in unwrapped(folder).children}


def _unknown_parts(folder: Folder, holders: Sequence[Folder], unknown: Sequence[Folder]) -> str:
    where, seen = quoted([one.name for one in holders]), quoted(natural(_names(unknown[0])))
    examples = [f"{one.name}={'test' if one is unknown[-1] else 'train'}" for one in unknown]
    options = " ".join(f"--split-folder {shlex.quote(printable(example))}" for example in examples[-2:])
    return (
        f"The folders in '{printable(folder.path)}' look like parts of a split and not like classes: {where} hold "
        f"folders of the same names ({seen}). Say which part each one is, for example by {options}, or say "
        "--split-folder none if they are classes."
    )


def _without_classes(folder: Folder, parts: Sequence[str]) -> str:
    return (
        f"'{printable(folder.path)}' holds only parts of a split ({quoted(list(parts))}), and no class folders lie in "
        "them: put the pictures into one folder for each class, or give a CSV table with the columns path, label and "
        "split; say --split-folder none if these are classes."
    )


def _part_beside(folder: Folder, parts: Mapping[str, str], others: Sequence[str]) -> str:
    options = " ".join(f"--split-folder {shlex.quote(printable(name))}={part}" for name, part in parts.items())
    return (
        f"It cannot be told whether {quoted(list(parts))} in '{printable(folder.path)}' is a part of a split or a "
        f"class, as {quoted(list(others))} lies beside it: say {options} to have the rest left out, or "
        "--split-folder none if these are classes."
    )
