"""What is noticeable about the names of classes: what looks like another class, like several, or like none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from automl_tl.data.names import natural, printable, quoted
from automl_tl.wording import plural

_NAMED = 5
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_NO_LABEL = frozenset({"nan", "none", "null", "na", "n/a", "<na>", "nat", "nil"})
_SEVERAL = re.compile(r"[^|]+(\|[^|]+)+|\[.*\]|\{.*\}", re.DOTALL)
_SEPARATORS = (",", ";")
"""Which a single name may hold as well: "tench, Tinca tinca"."""


def label_remarks(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the sentences for the labels of n pictures."""
    counts = Counter(labels)
    found = (_alike(counts), _same_number(counts), _several(counts), _no_label(counts))
    return tuple(sentence for sentence in found if sentence)


def _alike(counts: Counter[str]) -> str:
    by_text = _together(counts, lambda label: " ".join(label.casefold().split()))
    return _perhaps_one("differ in case or white space alone", by_text)


def _same_number(counts: Counter[str]) -> str:
    """Name classes as 3 and 3.0, or 1 and 01, which tables joined from several sources have."""
    numbers = [label for label in counts if _NUMBER.fullmatch(label)]
    return _perhaps_one("are the same number", _together(numbers, float))


def _together(labels: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """Return the labels that share what `key` makes of them, where there are several."""
    found: dict[object, list[str]] = {}
    for label in natural(labels):
        found.setdefault(key(label), []).append(label)
    return [same for same in found.values() if len(same) > 1]


def _perhaps_one(how: str, groups: Sequence[Sequence[str]]) -> str:
    if not groups:
        return ""
    named = ", ".join(" and ".join(f"'{printable(one)}'" for one in same) for same in groups[:_NAMED])
    more = f" and {len(groups) - _NAMED} more" if len(groups) > _NAMED else ""
    return f"Classes whose names {how}: {named}{more}; give them one name where they are one class."


def _several(counts: Counter[str]) -> str:
    lists = {label for separator in _SEPARATORS for label in _made_of_others(counts, separator)}
    several = natural(label for label in counts if _SEVERAL.fullmatch(label) or label in lists)
    if not several:
        return ""
    n = sum(counts[label] for label in several)
    return (
        f"Labels that look like several in one, {quoted(several[:1])} for example, of {plural(n, 'picture')}: "
        "a picture has one label here, so each of these is a class of its own."
    )


def _made_of_others(labels: Iterable[str], separator: str) -> list[str]:
    """Return the labels of several parts of which each is another label, or a part of one."""
    parts = {label: {part.strip() for part in label.split(separator)} for label in labels}
    known = Counter(part for some in parts.values() for part in some)
    return [label for label, some in parts.items() if len(some) > 1 and all(known[part] > 1 for part in some)]


def _no_label(counts: Counter[str]) -> str:
    empty = natural(label for label in counts if label.casefold() in _NO_LABEL)
    if not empty:
        return ""
    n = sum(counts[label] for label in empty)
    return (
        f"Taken as it stands, as a class: {quoted(empty)} ({plural(n, 'picture')}); where that means no label, "
        "leave the cell empty or the folder out."
    )
