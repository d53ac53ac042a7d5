"""What must not change: bundles load, runs resume, and commands answer as recorded in `tests/fixtures`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recorded import (
    ANSWERS,
    BUNDLES,
    FIXTURES,
    REFERENCE,
    RUNS,
    SEARCHES,
    TOLERANCE,
    TOLERANCE_OF_EVERYTHING,
    answer,
    as_recorded,
    bundle_probabilities,
    differences,
    estimator_probabilities,
    lay_out,
    leaderboard,
    masked,
    run,
)


def recorded(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the commands find what they name, and the reference of the tiny backbone."""
    root = tmp_path_factory.mktemp("recorded").resolve()
    lay_out(root)
    with as_recorded(root):
        run(REFERENCE)
    return root


@pytest.fixture(autouse=True)
def place(laid_out: Path, isolated_cache: Path) -> Iterator[Path]:
    """Work there; after `isolated_cache`, whose empty folders would hide the reference."""
    with as_recorded(laid_out):
        yield laid_out


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_predicts_as_recorded(name: str) -> None:
    assert np.allclose(bundle_probabilities(name), recorded("bundles/probabilities")[name], rtol=0, atol=1e-5)


def test_the_estimator_predicts_as_recorded() -> None:
    assert differences(recorded("answers/estimator"), estimator_probabilities()) == []


@pytest.mark.parametrize("name", ANSWERS)
def test_a_command_answers_as_recorded(name: str) -> None:
    assert differences(recorded(f"answers/{name}"), answer(ANSWERS[name])) == []


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_and_tries_what_is_recorded(place: Path, name: str) -> None:
    try:
        assert differences(recorded(f"answers/{name}"), answer(SEARCHES[name])) == []
        before, now = pd.read_csv(FIXTURES / "answers" / f"{name}.csv"), leaderboard(SEARCHES[name])
        tried = [column for column in before if column.startswith("param.")]
        pd.testing.assert_frame_equal(now[tried], before[tried])
        everything = before["strategy"] == "pretrained_initialization"
        for rows, tolerance in ((~everything, TOLERANCE), (everything, TOLERANCE_OF_EVERYTHING)):
            pd.testing.assert_frame_equal(now[rows], before[rows], rtol=tolerance, atol=tolerance)
    finally:
        shutil.rmtree(place / "new", ignore_errors=True)


@pytest.mark.parametrize("name", RUNS)
def test_what_is_recorded_of_a_resumed_run_has_the_trials_of_before(name: str) -> None:
    after = pd.read_csv(FIXTURES / "answers" / f"resume_{name}.csv").set_index("number")
    kept = [int(file.stem) for file in (FIXTURES / "runs" / name / "trials").iterdir()]
    assert len(kept) == 2
    assert set(after.loc[kept, "state"]) == {"complete"}
    assert (after["kind"] == "trial").sum() >= 4


def test_what_may_not_change_is_told_from_what_may() -> None:
    before = {"seconds": 1.5, "accuracy": 0.75, "cut": 2, "said": "75.0% in 3 s", "rows": [1, None]}
    assert differences(masked(before), masked({**before, "seconds": 9.0, "said": "75.1% in 2 min"})) == []
    for changed in ({"accuracy": 0.76}, {"cut": 3}, {"cut": 2.0}, {"said": "76.0% in 3 s"}, {"rows": [1]}, {"new": 0}):
        assert len(differences(masked(before), masked({**before, **changed}))) == 1
