"""Names: how they are shown to people, and what the parts of a given split are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from automl_tl.wording import clean

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
"""What users call the parts of a split, in lower case, to what they are called here.

"eval" is a test, as it is to Hugging Face's datasets: no decision may rest on it.
"""

_PART = re.compile(rf"({'|'.join(SPLIT_NAMES)})[ _-]*(?:sets?|data|images|pictures|part|split)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]+)?")


def split_name(name: str) -> str | None:
    """Return "train", "val" or "test" for any of `SPLIT_NAMES`, whatever its case, or None.

    >>> split_name("Training_Set"), split_name("test data"), split_name("tests")
    ('train', 'test', None)
    """
    found = _PART.fullmatch(name.strip().lower())
    return SPLIT_NAMES[found[1]] if found else None


def natural(names: Iterable[str]) -> list[str]:
    """Return names sorted as people count: numbers by their size, also within text.

    >>> natural(["10", "9", "-1"]), natural(["b2", "b10", "a"])
    (['-1', '9', '10'], ['a', 'b2', 'b10'])
    """
    names = list(names)
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names, key=lambda name: (_by_size(name), name))


def _by_size(name: str) -> list[tuple[str, int, str]]:
    """Return text before a number, the number's digits and the number, again and again; of any length."""
    found = re.findall(r"([^0-9]*)([0-9]*)", name)
    return [(text, len(digits.lstrip("0")), digits.lstrip("0")) for text, digits in found]


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return `name` with everything invisible written out, so that a terminal or a page can show it.

    Control characters, direction overrides and broken encodings become escapes; letters of every
    script stay as they are.

    >>> print(printable("cat\x1b[31m.jpg"))
    cat\x1b[31m.jpg
    """
    return clean(os.fspath(name))


def quoted(names: list[str], *, at_most: int = 5) -> str:
    """Return the first names for a sentence: "'cat', 'dog' and 3 more"."""
    shown = ", ".join(f"'{printable(name)}'" for name in names[:at_most])
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"
