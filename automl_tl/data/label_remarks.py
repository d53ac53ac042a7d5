"""What is noticeable about the names of classes: what looks like another class, like several, or like none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from automl_tl.data.names import natural, printable, quoted
from automl_tl.wording import plural

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_NO_LABEL = frozenset({"nan", "none", "null", "na", "n/a", "<na>", "nat", "nil"})
_SEVERAL = re.compile(r"[^|]+(\|[^|]+)+|\[.*\]|\{.*\}", re.DOTALL)


def label_remarks(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the sentences for the labels of n pictures."""
    counts = Counter(labels)
    found = (_alike(counts), _same_number(counts), _several(counts), _no_label(counts))
    return tuple(sentence for sentence in found if sentence)


def _alike(counts: Counter[str]) -> str:
    by_text: dict[str, list[str]] = {}
    for label in natural(counts):
        by_text.setdefault(" ".join(label.casefold().split()), []).append(label)
    alike = [" and ".join(f"'{printable(one)}'" for one in same) for same in by_text.values() if len(same) > 1]
    if not alike:
        return ""
    more = f" and {len(alike) - 5} more" if len(alike) > 5 else ""
    return (
        f"Classes whose names differ in case or white space alone: {', '.join(alike[:5])}{more}; give them one name "
        "where they are one class."
    )


def _same_number(counts: Counter[str]) -> str:
    """Name classes as 3 and 3.0, or 1 and 01, which tables joined from several sources have."""
    by_value: dict[float, list[str]] = {}
    for label in natural(label for label in counts if _NUMBER.fullmatch(label)):
        by_value.setdefault(float(label), []).append(label)
    same = [quoted(labels) for labels in by_value.values() if len(labels) > 1]
    if not same:
        return ""
    more = f" and {len(same) - 5} more" if len(same) > 5 else ""
    return (
        f"Classes whose names are the same number: {', '.join(same[:5])}{more}; give them one name where they are one "
        "class."
    )


def _several(counts: Counter[str]) -> str:
    several = natural(label for label in counts if _SEVERAL.fullmatch(label))
    if not several:
        return ""
    n = sum(counts[label] for label in several)
    return (
        f"Labels that look like several in one, {quoted(several[:1])} for example, of {plural(n, 'picture')}: "
        "a picture has one label here, so each of these is a class of its own."
    )


def _no_label(counts: Counter[str]) -> str:
    empty = natural(label for label in counts if label.casefold() in _NO_LABEL)
    if not empty:
        return ""
    n = sum(counts[label] for label in empty)
    return (
        f"Taken as it stands, as a class: {quoted(empty)} ({plural(n, 'picture')}); where that means no label, "
        "leave the cell empty or the folder out."
    )
