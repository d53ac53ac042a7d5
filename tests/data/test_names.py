"""Names are safe to print."""

from __future__ import annotations

import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.data.names import natural, printable, quoted, split_name
from automl_tl.wording import plural


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
    assert [plural(n, "picture") for n in (0, 1, 1200)] == ["0 pictures", "1 picture", "1,200 pictures"]


@pytest.mark.parametrize(
    "names",
    [
        [str(number) for number in range(11)],
        ["-2", "-1", "0", "1", "10"],
        ["1.25", "1.5", "2"],
        ["fold 2/10", "fold 10/2"],
        ["a", "a01", "a1", "a2", "a10", "b"],
        ["", "0", "10th", "x", "²"],
    ],
)
def test_names_are_ordered_as_people_count(names: list[str]) -> None:
    assert natural(reversed(names)) == sorted(names, key=names.index)


@given(st.lists(st.text(st.sampled_from("019.-xé "), max_size=6), unique=True), st.randoms())
def test_the_order_is_the_same_however_names_come(names: list[str], random: Random) -> None:
    expected = natural(names)
    random.shuffle(names)
    assert natural(names) == expected
    assert sorted(names) == sorted(expected)


def test_very_long_numbers_can_be_ordered() -> None:
    assert natural(["x" + "9" * 5000, "x1" + "0" * 5000, "x2"])[0] == "x2"


def test_split_name() -> None:
    assert split_name(" Validation ") == "val"
    assert split_name("later") is None
