"""Names are safe to print."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.data.names import counted, printable, quoted, split_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("Übung 漢字 🐈.png", "Übung 漢字 🐈.png"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("gpj.\u202etac", "gpj.\\u202etac"),
        ("caf\udce9", "caf\\udce9"),
        ("\u200b", "\\u200b"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text(st.characters()))
def test_nothing_invisible_is_left(name: str) -> None:
    shown = printable(name)
    shown.encode()
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in shown)
    assert printable(shown) == shown


def test_quoted() -> None:
    assert quoted(["a", "b\n"]) == "'a', 'b\\n'"
    assert quoted(list("abcdefg"), at_most=2) == "'a', 'b' and 5 more"


def test_counted() -> None:
    assert [counted(n, "picture") for n in (0, 1, 1200)] == ["0 pictures", "1 picture", "1,200 pictures"]


def test_split_name() -> None:
    assert split_name(" Validation ") == "val"
    assert split_name("later") is None
