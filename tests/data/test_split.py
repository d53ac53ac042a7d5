"""Splits: duplicates and groups on one side, the same whatever the order, given splits respected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.split import assign_splits, group_ids, leaks_by_part
from automl_tl.errors import DataError


def scanned(
    labels: list[str],
    split: list[str] | str = "",
    group: list[str] | str = "",
    cluster: list[int] | None = None,
) -> ImageDataset:
    """Return a data set as a scan leaves it, without any files."""
    n = len(labels)
    frame = pd.DataFrame(
        {
            "path": [f"/photos/{i}.png" for i in range(n)],
            "label": labels,
            "split": split,
            "group": group,
            "sha256": [f"{i * 7919 % 100_003:064x}" for i in range(n)],
            "width": 9,
            "height": 9,
            "cluster": cluster or list(range(n)),
        }
    )
    return ImageDataset(Path("/photos"), frame)


def parts(dataset: ImageDataset) -> dict[str, str]:
    return dict(zip(dataset.frame["sha256"], dataset.frame["split"], strict=True))


# --- what belongs together --------------------------------------------------------------------------


def test_groups_and_duplicates_are_tied_through_each_other() -> None:
    frame = scanned(list("aaaaaa"), group=["p", "", "q", "q", "", "p"], cluster=[0, 1, 1, 2, 3, 2]).frame
    assert group_ids(frame).tolist() == [0, 0, 0, 0, 1, 0]


def test_without_a_scan_only_groups_tie() -> None:
    frame = scanned(list("aaa"), group=["p", "", "p"]).frame.drop(columns="cluster")
    assert group_ids(frame).tolist() == [0, 1, 0]


def test_an_empty_group_ties_nothing() -> None:
    assert group_ids(scanned(list("aaaa")).frame).tolist() == [0, 1, 2, 3]


@given(st.lists(st.tuples(st.sampled_from(["", "p", "q", "r"]), st.integers(0, 9)), min_size=1, max_size=30))
def test_what_shares_a_group_or_cluster_shares_a_number(pairs: list[tuple[str, int]]) -> None:
    groups, clusters = [group for group, _ in pairs], [cluster for _, cluster in pairs]
    ids = group_ids(scanned(["a"] * len(pairs), group=groups, cluster=clusters).frame)
    for i in range(len(pairs)):
        for j in range(i):
            if clusters[i] == clusters[j] or (groups[i] and groups[i] == groups[j]):
                assert ids[i] == ids[j]
    assert ids.max() + 1 == len(set(ids))


# --- no split given ---------------------------------------------------------------------------------


def test_a_fifth_is_held_aside_from_every_class() -> None:
    result = assign_splits(scanned(["a"] * 100 + ["b"] * 50), 0)
    counts = result.frame.groupby(["label", "split"]).size().to_dict()
    assert counts == {("a", "test"): 20, ("a", "train"): 80, ("b", "test"): 10, ("b", "train"): 40}


def test_nothing_is_held_aside_from_few_pictures() -> None:
    assert set(assign_splits(scanned(["a"] * 100 + ["b"] * 49), 0).frame["split"]) == {"train"}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 3), st.permutations(list(range(120))), st.integers(1, 4))
def test_the_order_of_the_rows_does_not_matter(seed: int, order: list[int], per_group: int) -> None:
    dataset = scanned(["a", "b"] * 60, cluster=[i // per_group for i in range(120)])
    shuffled = dataset.with_frame(dataset.frame.iloc[order])
    assert parts(assign_splits(dataset, seed)) == parts(assign_splits(shuffled, seed))


def test_identical_files_do_not_make_it_depend_on_the_order() -> None:
    dataset = scanned(["a", "b"] * 60, cluster=[*range(118), 0, 1])
    frame = dataset.frame.assign(sha256=[*dataset.frame["sha256"][:118], *dataset.frame["sha256"][:2]])
    one, other = dataset.with_frame(frame), dataset.with_frame(frame[::-1])
    assert parts(assign_splits(one, 0)) == parts(assign_splits(other, 0))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_groups_and_duplicates_never_straddle(data: st.DataObject) -> None:
    n = 130
    groups = data.draw(st.lists(st.sampled_from(["", *"pqrstuvwxyz"]), min_size=n, max_size=n))
    clusters = data.draw(st.lists(st.integers(0, 100), min_size=n, max_size=n))
    labels = ["a", "b"] * (n // 2)
    result = assign_splits(scanned(labels, group=groups, cluster=clusters), data.draw(st.integers(0, 9)))
    ids = group_ids(result.frame)
    for part in set(ids):
        assert result.frame.loc[ids == part, "split"].nunique() == 1
    sides = result.frame.groupby("split")["label"].nunique()
    assert (sides == 2).all()
    assert (result.frame["split"] == "test").mean() <= 0.3


def test_a_class_of_one_group_is_not_torn_out() -> None:
    dataset = scanned(["a"] * 60 + ["b"] * 60, group=["p"] * 60 + [f"q{i}" for i in range(60)])
    assert set(assign_splits(dataset, 0).frame["split"]) == {"train"}


def test_the_seed_matters() -> None:
    dataset = scanned(["a"] * 60 + ["b"] * 60)
    assert parts(assign_splits(dataset, 0)) != parts(assign_splits(dataset, 1))


def test_the_split_depends_on_the_data() -> None:
    dataset = scanned(["a"] * 60 + ["b"] * 60)
    relabelled = dataset.with_frame(dataset.frame.assign(group=["x", *[""] * 119]))
    assert parts(assign_splits(dataset, 0)) != parts(assign_splits(relabelled, 0))


@pytest.mark.parametrize("n", [30, 60])
def test_doing_it_twice_changes_nothing(n: int) -> None:
    once = assign_splits(scanned(["a", "b"] * n, cluster=[i // 3 for i in range(2 * n)]), 0)
    twice = assign_splits(once, 0)
    pd.testing.assert_frame_equal(once.frame, twice.frame)
    assert once.notes == twice.notes


def test_the_data_set_itself_is_not_changed() -> None:
    dataset = scanned(["a", "b"] * 60)
    before = dataset.frame.copy()
    assign_splits(dataset, 0)
    pd.testing.assert_frame_equal(dataset.frame, before)


def test_it_needs_the_scan() -> None:
    dataset = scanned(["a", "b"] * 60)
    with pytest.raises(ValueError, match="scan"):
        assign_splits(dataset.with_frame(dataset.frame.drop(columns="cluster")), 0)


# --- a given split ----------------------------------------------------------------------------------


def test_a_given_split_is_respected() -> None:
    given_parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    result = assign_splits(scanned(list("abababab" + "ab"), split=given_parts), 0)
    assert list(result.frame["split"]) == given_parts
    assert result.notes == ()


def test_the_training_copy_of_a_duplicate_goes() -> None:
    split = ["train", "train", "train", "train", "train", "val", "test", "val"]
    dataset = scanned(list("aabbabab"), split=split, cluster=[0, 1, 2, 3, 5, 5, 6, 6])
    result = assign_splits(dataset, 0)
    assert list(result.frame["split"]) == ["train"] * 4 + ["val", "test"]
    assert result.notes == (
        "Left out of 'train', as copies lie in a later part of the given split: 1 picture.",
        "Left out of 'val', as copies lie in a later part of the given split: 1 picture.",
    )
    again = assign_splits(result, 0)
    pd.testing.assert_frame_equal(result.frame, again.frame)
    assert result.notes == again.notes


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 30)), min_size=4, max_size=40))
def test_no_duplicate_straddles_a_given_split(pairs: list[tuple[str, int]]) -> None:
    split = ["train"] * 8 + [part for part, _ in pairs]
    clusters = [*range(100, 108), *(cluster for _, cluster in pairs)]
    labels = ["a", "b"] * 4 + ["a", "b"] * (len(pairs) // 2) + ["a"] * (len(pairs) % 2)
    frame = assign_splits(scanned(labels, split=split, cluster=clusters), 0).frame
    assert (frame.groupby("cluster")["split"].nunique() == 1).all()
    assert (frame["split"] == "test").sum() == split.count("test")


def test_groups_that_straddle_a_given_split_are_noted() -> None:
    dataset = scanned(list("abab"), split=["train", "train", "train", "test"], group=["p", "p", "", "p"])
    (note,) = assign_splits(dataset, 0).notes
    assert "In several parts of the given split at once: 1 group;" in note


def test_a_split_whose_training_part_is_a_copy_of_the_test() -> None:
    dataset = scanned(list("aabb" * 2), split=["train"] * 4 + ["test"] * 4, cluster=[0, 1, 2, 3] * 2)
    with pytest.raises(DataError, match=r"Every training picture of .* is a copy of one in a later part") as caught:
        assign_splits(dataset, 0)
    assert "4 training pictures left out" in str(caught.value)
    assert "--keep-leaks" in str(caught.value)


def test_leaks_that_leave_one_class_are_the_reason() -> None:
    dataset = scanned(list("aaabbb"), split=["train"] * 4 + ["test"] * 2, cluster=[0, 1, 2, 3, 3, 4])
    with pytest.raises(DataError, match=r"has one: 'a' \(3 pictures\) \(1 training picture left out, as copies lie"):
        assign_splits(dataset, 0)


def test_leaks_can_be_kept() -> None:
    dataset = scanned(list("aabbabab"), split=["train"] * 5 + ["val", "test", "val"], cluster=[0, 1, 2, 3, 5, 5, 6, 6])
    result = assign_splits(dataset, 0, drop_leaks=False)
    assert list(result.frame["split"]) == list(dataset.frame["split"])
    assert result.notes[0] == "Kept in 'train' though copies lie in a later part of the given split: 1 picture."
    assert assign_splits(result, 0, drop_leaks=False).notes == result.notes


def test_where_copies_lie() -> None:
    split = ["train", "train", "val", "val", "test", "test", ""]
    frame = scanned(list("abababa"), split=split, cluster=[0, 1, 1, 2, 2, 0, 0]).frame
    assert leaks_by_part(frame) == {"train": 3, "val": 1}
    assert leaks_by_part(frame.assign(split="")) == {}


def test_a_class_that_only_had_copies_is_left_out() -> None:
    dataset = scanned(list("aabbccab"), split=["train"] * 5 + ["test"] * 3, cluster=[0, 1, 2, 3, 4, 4, 6, 7])
    result = assign_splits(dataset, 0)
    assert set(result.frame["label"]) == {"a", "b"}
    assert np.array(["'c'" in note for note in result.notes]).any()
