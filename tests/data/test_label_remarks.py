"""Names of classes that look like others, like several, or like none."""

from __future__ import annotations

import pytest

from automl_tl.data.label_remarks import label_remarks


def test_ordinary_names_get_no_remark() -> None:
    assert label_remarks(["cat", "dog", "lion, male", "a/b", "[x", "Nana", "été", "10"]) == ()


@pytest.mark.parametrize(
    ("labels", "pair"), [(["Cat", "cat", "dog"], "'Cat' and 'cat'"), (["dog", "dog ", "cat"], "'dog' and 'dog '")]
)
def test_names_that_are_nearly_one(labels: list[str], pair: str) -> None:
    (remark,) = label_remarks(labels)
    assert f"differ in case or white space alone: {pair};" in remark


def test_names_that_are_the_same_number() -> None:
    """As a table has them that was joined from two: pandas writes whole numbers beside empty cells as 3.0."""
    (remark,) = label_remarks(["3", "3.0", "1", "01", "2", "007"])
    told = remark.partition("are the same number: ")[2]
    assert {frozenset(pair.split(" and ")) for pair in told.partition(";")[0].split(", ")} == {
        frozenset({"'1'", "'01'"}), frozenset({"'3'", "'3.0'"}),
    }  # fmt: skip
    assert "'2'" not in remark


@pytest.mark.parametrize("label", ["cat|small", "['cat', 'small']", "{cat}", "a|b|c"])
def test_several_labels_in_one(label: str) -> None:
    (remark,) = label_remarks([label, "dog", label])
    assert "of 2 pictures" in remark
    assert "a picture has one label here" in remark


@pytest.mark.parametrize("mark", [", ", ",", ";"])
def test_a_list_of_what_others_are_lists_of(mark: str) -> None:
    several = [mark.join(parts) for parts in (("cloud", "wet"), ("cloud", "dry"), ("sun", "dry"), ("sun", "wet"))]
    (remark,) = label_remarks([*several, "a, b"])
    assert "of 4 pictures" in remark
    assert label_remarks(["tench, Tinca tinca", "cock, male", "lion, male"]) == ()


@pytest.mark.parametrize("label", ["NaN", "None", "null", "N/A", "nan"])
def test_words_for_no_label(label: str) -> None:
    (remark,) = label_remarks([label, "cat", label])
    assert f"as a class: '{label}' (2 pictures)" in remark
