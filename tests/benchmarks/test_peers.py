"""The parts of `benchmarks/peers` that need no peer: draws, planning, resuming, comparing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.__main__ import key, planned
from benchmarks.peers.cells import SIZES, TUNED, Cell, cells, divided
from benchmarks.peers.compare import best_of, by_tool, clustered, difference, errors, ratio
from benchmarks.peers.measure import FailedError, Place, measure, scored
from benchmarks.peers.plot import points
from benchmarks.peers.rows import add, known, read
from benchmarks.peers.table import filled
from benchmarks.peers.table import main as print_table
from benchmarks.peers.tools import PEERS, SCRIPTS, Tool, ours


def frame(n: int, split: str = "") -> pd.DataFrame:
    names = [f"{label}/{number}.jpg" for label in "ab" for number in range(n)]
    return pd.DataFrame({"path": names, "label": [name[0] for name in names], "split": split})


def row(**changed: Any) -> dict[str, Any]:
    plain = {"data": "clothing", "per_class": 10, "draw": 0, "budget": 60, "tool": "fastai", "accuracy": 0.5,
             "log_loss": 1.0, "right": "01", "seconds": 58.0, "n_train": 20, "n_test": 2, "load": 0.1}  # fmt: skip
    return plain | changed


def test_a_draw_keeps_training_and_test_apart_and_is_the_same_again() -> None:
    train, test = divided(frame(30), Cell("made", 10, 0))
    assert train["label"].value_counts().to_dict() == {"a": 10, "b": 10}
    assert not set(train["path"]) & set(test["path"])
    assert len(test) == 40
    again = divided(frame(30).sample(frac=1, random_state=1), Cell("made", 10, 0))
    assert again[0].equals(train)
    assert again[1].equals(test)
    assert not divided(frame(30), Cell("made", 10, 1))[0].equals(train)


def test_a_fifth_of_a_small_class_is_left_for_the_test() -> None:
    train, test = divided(frame(10), Cell("made", 50, 0))
    assert (len(train), len(test)) == (16, 4)


def test_a_given_test_part_is_kept_and_validation_pictures_are_not_tested_on() -> None:
    given_parts = pd.concat([frame(6, "train"), frame(4, "val"), frame(3, "test")])
    given_parts["path"] = given_parts["split"] + "/" + given_parts["path"]
    train, test = divided(given_parts, Cell("made", 5, 0))
    assert {path.split("/")[0] for path in train["path"]} == {"train"}
    assert sorted(test["path"]) == sorted(given_parts.loc[given_parts["split"] == "test", "path"])


def test_marks_name_sets_that_are_measured() -> None:
    assert set(TUNED) <= set(SIZES)


def test_what_has_no_budget_is_planned_once_and_what_cannot_keep_one_not_at_all() -> None:
    rows = [key(one) for one in planned([*PEERS, ours("after", Path("code"))], [60, 300])]
    assert len(rows) == len(set(rows)) == 10 * len(cells())
    first = [(tool, budget) for data, size, draw, budget, tool in rows if (data, size, draw) == ("clothing", 10, 0)]
    assert first == [("linear", 0), ("by hand", 60), ("by hand", 300), ("by hand middle", 60),
                     ("by hand middle", 300), ("fastai", 60), ("fastai", 300), ("AutoGluon", 300),
                     ("automl-tl after", 60), ("automl-tl after", 300)]  # fmt: skip


def test_where_seconds_went_is_shown_where_rows_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "peers.csv"
    add(file, row())
    add(file, row(tool="automl-tl"))
    print_table(["--rows", str(file)])
    assert "Where they go" not in capsys.readouterr().out
    for draw, trials in ((1, 20.0), (2, 30.0)):
        add(file, row(tool="automl-tl", draw=draw, parts=json.dumps({"trials": trials, "unused": 2.0})))
    print_table(["--rows", str(file)])
    printed = capsys.readouterr().out
    assert "| seconds | of 60 (2 rows) |" in printed
    assert "| trials | 25.0 |" in printed


def test_sets_and_sizes_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "peers.csv"
    for name, size in (("clothing", 10), ("clothing", 50), ("weather", 10)):
        add(file, row(data=name, per_class=size, tool="automl-tl"))
    print_table(["--rows", str(file), "--sets", "clothing", "--sizes", "50"])
    printed = capsys.readouterr().out
    assert "clothing*, 50" in printed
    assert "clothing*, 10" not in printed
    assert "weather" not in printed
    with pytest.raises(SystemExit, match="has no rows of that"):
        print_table(["--rows", str(file), "--sizes", "3"])


def test_the_better_way_by_hand_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "peers.csv"
    for tool, right in (("automl-tl", "1110"), ("by hand", "1000"), ("by hand middle", "1100")):
        add(file, row(tool=tool, accuracy=right.count("1") / 4, right=right, n_test=4))
    print_table(["--rows", str(file)])
    printed = capsys.readouterr().out
    assert "| 60 s, to the better way by hand | 0.60 (1 cell of 1 set) |" in printed
    assert "| clothing*, 10 | 60 | by hand | +0.250 |" in printed


def test_rows_of_an_unchanged_checkout_stand_in_where_there_are_none() -> None:
    new, old = "automl-tl new", "automl-tl old"
    table = pd.DataFrame([row(tool=new), row(tool=old), row(tool=old, draw=1), row(draw=1), row(tool=old, budget=300)])
    assert list(filled(table, new, old)["tool"]) == [new, old, new, "fastai", new]


def test_rows_are_added_and_known_again(tmp_path: Path) -> None:
    file = tmp_path / "peers.csv"
    assert known(read(file)) == set()
    add(file, row(right="0011"))
    add(file, row(draw=1, right="1100"))
    assert known(read(file)) == {("clothing", 10, 0, 60, "fastai"), ("clothing", 10, 1, 60, "fastai")}
    assert list(read(file)["right"]) == ["0011", "1100"]
    assert [path.name for path in tmp_path.iterdir()] == ["peers.csv"]


def test_a_measured_row_is_not_planned_again(tmp_path: Path) -> None:
    file = tmp_path / "peers.csv"
    add(file, row())
    left = [key(one) for one in planned(PEERS, [60]) if key(one) not in known(read(file))]
    assert ("clothing", 10, 0, 60, "fastai") not in left
    assert ("clothing", 10, 1, 60, "fastai") in left


def test_a_geometric_mean_of_ratios() -> None:
    index = pd.MultiIndex.from_tuples([("a", 10, 0), ("a", 10, 1), ("b", 10, 0), ("c", 10, 0)])
    found = ratio(pd.Series([0.1, 0.4, 0.2, 0.2], index), pd.Series([0.2, 0.2, 0.2, np.nan], index))
    assert found is not None
    assert found.mean == pytest.approx(1.0)
    assert (found.n_cells, found.n_sets) == (3, 2)
    assert found.low == pytest.approx(1.0), "the two draws of a cancel out"
    assert ratio(pd.Series([0.1], index[:1]), pd.Series([np.nan], index[:1])) is None


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.floats(0.1, 10))
def test_a_ratio_scales_with_the_errors_and_turns_round(theirs: list[float], factor: float) -> None:
    index = pd.MultiIndex.from_tuples([(str(number), 10, 0) for number in range(len(theirs))])
    base = pd.Series(theirs, index)
    one, turned = ratio(base * factor, base), ratio(base, base * factor)
    assert one is not None
    assert turned is not None
    assert one.mean == pytest.approx(factor)
    assert one.mean * turned.mean == pytest.approx(1)
    assert one.low <= one.mean * (1 + 1e-9)


def test_a_clustered_error_counts_alike_rows_once() -> None:
    values = pd.Series([0.0, 0.0, 1.0, 1.0])
    alike, apart = (clustered(values, pd.Index([*sets]))[1] for sets in ("aabb", "abcd"))
    assert alike > apart
    assert apart == pytest.approx(values.std() / 2)


def test_errors_of_none_wrong_have_a_logarithm() -> None:
    assert errors(pd.Series([1.0]), pd.Series([400])).item() > 0


def test_a_tool_without_a_budget_counts_where_it_was_in_time() -> None:
    table = pd.DataFrame([row(), row(tool="linear", budget=0, seconds=70), row(budget=300, accuracy=1.0)])
    assert list(by_tool(table, "accuracy", 60)) == ["fastai"]
    wide = by_tool(table, "accuracy", 300)
    assert list(wide) == ["fastai", "linear"]
    assert best_of(wide, ["linear", "AutoGluon"]).tolist() == [0.5]


def test_a_paired_difference_is_smaller_in_error_than_an_unpaired_one() -> None:
    mean, error = difference(["1111", "1100"], ["1110", "1100"])
    assert mean == pytest.approx(1 / 8)
    assert error < np.sqrt(2 * 0.25 / 8)


def test_an_answer_is_scored_by_the_names_of_its_columns() -> None:
    answer = pd.DataFrame({"b": [0.25, 0.5], "a": [0.75, 0.5]})
    found = scored(answer, pd.Series(["a", "a"]))
    assert found["right"] == "10"
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    with pytest.raises(FailedError, match="1 answers of 2 classes for 2 pictures"):
        scored(answer.head(1), pd.Series(["a", "a"]))


def test_means_of_the_plot_are_over_cells_that_all_have() -> None:
    table = pd.DataFrame(
        [row(tool="fastai", draw=draw, accuracy=draw / 10) for draw in range(3)]
        + [row(tool="automl-tl", draw=draw, accuracy=0.9) for draw in range(2)]
        + [row(tool="fastai", budget=900, accuracy=1.0)]  # tried once
    )
    found = points(table).set_index("tool")
    assert found["accuracy"].to_dict() == {"fastai": 0.05, "automl-tl": 0.9}


SCRIPT = """
from contract import main

def train(task):
    assert task.left < task.budget
    task.model.write_text(",".join(sorted(set(task.labels))))
    (task.model.parent / "parts.json").write_text('{"trials": 1.5}')

def predict(paths, model):
    return model.read_text().split(","), [[1.0, 0.0] for _ in paths]

main(train, predict)
"""


def test_a_tool_learns_and_answers_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tool.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(SCRIPTS)!r})\n{SCRIPT}")
    monkeypatch.setattr("benchmarks.peers.measure.drawn", lambda root, cell: divided(frame(30), cell))
    place = Place(tmp_path, tmp_path, tmp_path, tmp_path / "log.txt")
    cell = Cell("made", 10, 0)
    found = measure(Tool("made", str(script), ""), cell, 60, place)
    assert found["parts"] == '{"trials": 1.5}'
    assert (found["accuracy"], found["n_train"], found["n_test"]) == (0.5, 20, 40)
    assert 0 < found["seconds"] < 60
    script.write_text("raise SystemExit(3)")
    with pytest.raises(FailedError, match="made failed to train with status 3"):
        measure(Tool("made", str(script), ""), cell, 60, place)


def test_the_table_and_the_plot_are_made_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, picture = tmp_path / "peers.csv", tmp_path / "peers.svg"
    for one in (row(), row(tool="automl-tl", accuracy=1.0, right="11"), row(tool="linear", budget=0, seconds=9.0)):
        add(file, one)
    print_table(["--rows", str(file), "--plot", str(picture)])
    said = capsys.readouterr().out
    assert "| clothing*, 10 | 0.500 | 1.000 | 0.500 |" in said
    assert "60 s, to the best of the peers" in said
    assert picture.read_text().lstrip().startswith("<?xml")
