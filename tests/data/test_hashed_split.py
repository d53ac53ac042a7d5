"""The split of many pictures: none moves when others are added, shares are kept, what is tied stays together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.data import split
from automl_tl.data.dataset import Drawn, ImageDataset
from automl_tl.data.hashed_split import LARGE, drawn_by_hash, hashed_test
from automl_tl.data.split import assign_splits, group_ids

PICTURE = st.tuples(
    st.sampled_from(["", "", "p", "q", "r", "s"]),  # group
    st.integers(0, 40),  # cluster
    st.sampled_from(["cat", "dog", "emu"]),
)
"""A picture; what has one cluster, or one group, is tied."""


def frame_of(pictures: list[tuple[str, int, str]], start: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"{start + i}.png" for i in range(len(pictures))],
            "label": [label for _, _, label in pictures],
            "split": "",
            "group": [group for group, _, _ in pictures],
            "sha256": [f"{(start + i) * 7919:064x}" for i in range(len(pictures))],
            "cluster": [cluster for _, cluster, _ in pictures],
        }
    )


def sides(frame: pd.DataFrame, seed: int = 0) -> dict[str, bool]:
    return dict(zip(frame["sha256"], hashed_test(frame, group_ids(frame), seed, 0.2).tolist(), strict=True))


def many(n: int, n_classes: int = 10, groups: int = 0) -> pd.DataFrame:
    return frame_of([(f"g{i % groups}" if groups else "", i, f"class{i % n_classes}") for i in range(n)])


def trained_classes(frame: pd.DataFrame, seed: int) -> set[str]:
    """The classes that would have training pictures without any being spared."""
    test = drawn_by_hash(frame, group_ids(frame), seed, 0.2)
    return set(frame["label"][~test])


@given(st.lists(PICTURE, min_size=1, max_size=60), st.lists(PICTURE, max_size=60), st.integers(0, 99))
@settings(deadline=None)
def test_pictures_that_are_added_move_none_that_they_are_not_tied_to(
    before: list[tuple[str, int, str]], more: list[tuple[str, int, str]], seed: int
) -> None:
    old = frame_of(before)
    new = frame_of([(f"new {group}" if group else "", cluster + 100, label) for group, cluster, label in more], 1000)
    if trained_classes(old, seed) < set(old["label"]):
        return  # a class is spared, until there is something else to train on
    found = sides(pd.concat([new, old], ignore_index=True), seed)
    assert {sha: found[sha] for sha in old["sha256"]} == sides(old, seed)


@given(st.lists(PICTURE, min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 99))
@settings(deadline=None)
def test_more_pictures_of_a_named_group_do_not_move_it(before: list[tuple[str, int, str]], n: int, seed: int) -> None:
    old = frame_of([*before, ("grown", 500, "cat"), ("else", 501, "cat")])
    new = frame_of([("grown", 600 + i, "cat") for i in range(n)], 1000)
    if trained_classes(old, seed) < set(old["label"]):
        return
    found = sides(pd.concat([old, new], ignore_index=True), seed)
    assert {sha: found[sha] for sha in old["sha256"]} == sides(old, seed)


@given(st.lists(PICTURE, min_size=1, max_size=80), st.integers(0, 99), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_what_is_tied_is_on_one_side_whatever_the_order(
    pictures: list[tuple[str, int, str]], seed: int, random: np.random.RandomState
) -> None:
    frame = frame_of(pictures)
    found = sides(frame, seed)
    for _, tied in frame.groupby(group_ids(frame)):
        assert len({found[sha] for sha in tied["sha256"]}) == 1
    order = list(range(len(frame)))
    random.shuffle(order)
    assert sides(frame.iloc[order].reset_index(drop=True), seed) == found


@given(st.lists(PICTURE, min_size=1, max_size=80), st.integers(0, 99))
@settings(deadline=None)
def test_every_class_has_something_to_train_on(pictures: list[tuple[str, int, str]], seed: int) -> None:
    frame = frame_of(pictures)
    test = hashed_test(frame, group_ids(frame), seed, 0.2)
    assert set(frame["label"][~test]) == set(frame["label"])


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_shares_are_near_what_was_asked_for(seed: int) -> None:
    frame = many(5000)
    test = pd.Series(hashed_test(frame, group_ids(frame), seed, 0.2))
    assert abs(test.mean() - 0.2) < 6 * np.sqrt(0.16 / 5000)
    assert (abs(test.groupby(frame["label"]).mean() - 0.2) < 6 * np.sqrt(0.16 / 500)).all()


def test_large_clusters_are_not_drawn_to_one_side() -> None:
    frame = frame_of([("", i // 10, "cat") for i in range(20_000)])
    assert abs(hashed_test(frame, group_ids(frame), 0, 0.2).mean() - 0.2) < 6 * np.sqrt(0.16 / 2000)


def test_the_seed_matters() -> None:
    assert sides(many(100), 0) != sides(many(100), 1)


# --- where it is used -------------------------------------------------------------------------------


def test_many_pictures_are_split_by_their_hashes_and_few_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "LARGE", 1000)
    few, more = ImageDataset(Path("/few"), many(1000)), ImageDataset(Path("/more"), many(1001))
    assert (assign_splits(few, 0).frame.groupby("label")["split"].value_counts().unstack()["test"] == 20).all()
    expected = np.where(hashed_test(more.frame, group_ids(more.frame), 0, 0.2), "test", "train")
    assert assign_splits(more, 0).frame["split"].tolist() == expected.tolist()


def test_a_sample_of_many_is_split_as_all_of_them() -> None:
    frame = many(LARGE + 1)
    everything = assign_splits(ImageDataset(Path("/all"), frame), 3).frame
    drawn = Drawn(2000, len(frame), {}, {})
    sample = assign_splits(ImageDataset(Path("/all"), frame.iloc[::10].reset_index(drop=True), drawn=drawn), 3).frame
    assert sample["split"].tolist() == everything["split"].iloc[::10].tolist()


def test_where_groups_are_too_large_for_a_fifth_the_other_split_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "LARGE", 100)
    dataset = ImageDataset(Path("/few"), many(1000, n_classes=2, groups=5))
    for seed in range(20):
        share = (assign_splits(dataset, seed).frame["split"] == "test").mean()
        assert share == 0.2
