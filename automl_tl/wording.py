"""Words for people: text from outside made safe to show, plurals, sizes, metrics."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from automl_tl.durations import format_duration

if TYPE_CHECKING:
    from automl_tl.monitor import Epoch

# Control, format (right-to-left marks and kin), surrogate, private, unassigned, line and paragraph ends.
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # part of ordinary words and emoji; harmless
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


def clean(text: object) -> str:
    r"""Return `text` with every character that could move the cursor or reorder text written as an escape.

    >>> print(clean("cat\x1b[31m"))
    cat\x1b[31m
    """
    return "".join(_escaped(character) for character in str(text))


def _escaped(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")


def no_formula(cell: str) -> str:
    """Return a cell of a table so that no spreadsheet takes it for a formula: OWASP's advice on "CSV Injection".

    >>> no_formula("=1+1"), no_formula("-1.5"), no_formula("cat")
    ("'=1+1", '-1.5', 'cat')
    """
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(cell) else cell


def label_text(label: str) -> str:
    """Return a class's name for people, in quotes where white space at its ends could not be seen.

    >>> label_text("dog"), label_text("dog ")
    ('dog', "'dog '")
    """
    return clean(label) if label == label.strip() else f"'{clean(label)}'"


def one_line(text: object) -> str:
    """Return `text` on one line: runs of white space become one space, then as in `clean`."""
    return clean(" ".join(str(text).split()))


def plural(n: int, noun: str, many: str = "") -> str:
    """Return "1 picture" or "1,234 pictures"; `many` is the plural where it is not noun + "s"."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"


def format_bytes(n_bytes: int) -> str:
    """Return a size for people, in powers of 1000: "512 B", "1.4 MB"."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def metric_words(metric: str, value: float) -> str:
    """Return a metric's value for people.

    >>> metric_words("balanced_accuracy", 0.917), metric_words("macro_f1", 0.9), metric_words("log_loss", 0.25)
    ('balanced accuracy 91.7%', 'macro F1 0.900', 'log loss 0.250 nats')
    """
    if metric == "log_loss":
        return f"log loss {value:.3f} nats"
    return f"macro F1 {value:.3f}" if metric == "macro_f1" else f"{metric.replace('_', ' ')} {value:.1%}"


def epoch_words(epoch: Epoch) -> str:
    """Return where a training run is, for people.

    >>> from automl_tl.monitor import Epoch
    >>> epoch_words(Epoch(3, 12, progress=0.25, loss=0.512, rate=9.3e-4, seconds=7.0, score=0.8125))
    'epoch 3 of 12, loss 0.512, score 0.812, rate 9.3e-04, 21 s left'
    """
    score = "" if epoch.score is None else f", score {epoch.score:.3f}"
    left = format_duration(epoch.left)
    return f"epoch {epoch.number} of {epoch.planned}, loss {epoch.loss:.3f}{score}, rate {epoch.rate:.1e}, {left} left"
