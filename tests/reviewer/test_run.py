"""A run's folder says where it comes from, what was found out, and which labels are doubted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures, told_apart_by
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl
from automl_tl.errors import DataError, OptionError
from automl_tl.model.evaluation import evaluate_probabilities
from automl_tl.reviewer.run import open_run, pictures_of
from automl_tl.searcher.record import TEST, keep_evaluation, kept_evaluation
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.summary import SearchSummary


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, TinyBackbone())
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")


def swept(data: Path | pd.DataFrame, out: Path, **options: object) -> automl_tl.SearchResult:
    """Return a search of which nothing but the sweep is wanted."""
    return automl_tl.search(data, out=out, trials=1, without=("trained",), device="cpu", **options)  # type: ignore[arg-type]


def test_a_run_knows_its_data_and_the_labels_that_it_doubts(make_pictures: MakePictures, tmp_path: Path) -> None:
    data = make_pictures(per_class=12)
    (data / "apple" / "000.png").rename(data / "sky" / "wrong.png")
    result = swept(data, tmp_path / "run", command="automl-tl search", seed=3)
    run = open_run(tmp_path / "run")
    assert run.origin is not None
    assert (run.origin.command, run.origin.seed, run.path) == ("automl-tl search", 3, str(data))
    assert run.findings is not None
    assert run.findings.strategy == result.recommended
    assert isinstance(run.summary, SearchSummary)
    assert run.summary.best == result.best
    assert run.doubts is not None
    assert [Path(one.path).name for one in run.doubts.answers][:1] == ["wrong.png"]
    assert (run.doubts.answers[0].given, run.doubts.answers[0].predicted) == ("sky", "apple")
    assert run.doubts.n_judged == result.assessment.sample.n
    assert run.test is None
    assert run.validation is not None  # too few pictures for a test: what was said out of fold takes its place
    assert run.validation.n == run.doubts.n_judged
    mistakes = run.validation.answers(np.flatnonzero(~run.validation.right))
    assert "wrong.png" in {Path(one.path).name for one in mistakes}
    dataset, report = pictures_of(run)
    assert (len(dataset), report.n_images) == (36, 36)
    assert not dataset.has_given_splits  # as it was given: nothing that a search held aside


def test_a_run_knows_how_its_pictures_became_square(tmp_path: Path) -> None:
    data, out = told_apart_by("middle", tmp_path / "data"), tmp_path / "run"
    result = swept(data, out)
    seen = pictures_of(open_run(out))[1]
    assert (seen.fit, seen.fit_reason) == ("crop", result.report.fit_reason)
    for text in ("damaged", None):
        (out / "fit.json").unlink() if text is None else (out / "fit.json").write_text(text)
        seen = pictures_of(open_run(out))[1]
        assert (seen.fit, seen.fit_reason) == ("crop", "as its model has learned them")


def test_a_run_of_pictures_in_memory_says_that_they_are_gone(make_pictures: MakePictures, tmp_path: Path) -> None:
    rows = [(str(file), file.parent.name) for file in make_pictures(per_class=8).rglob("*.png")]
    swept(pd.DataFrame(rows, columns=["path", "label"]), tmp_path / "run")
    with pytest.raises(DataError, match="There is no file or folder"):
        pictures_of(open_run(tmp_path / "run"))


def test_answers_are_kept_as_they_were_and_go_where_there_are_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    before = evaluate_probabilities(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), ["a", "b"])
    keep_evaluation(folder, TEST, before)
    after = kept_evaluation(folder, TEST)
    assert after is not None
    assert np.array_equal(after.confusion, before.confusion)
    assert after.numbers == pytest.approx(before.numbers, abs=1e-6)
    keep_evaluation(folder, TEST, None)
    assert kept_evaluation(folder, TEST) is None


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    with pytest.raises(OptionError, match="holds no run"):
        open_run(tmp_path)


def test_a_run_from_elsewhere_makes_no_folder_and_asks_no_store(make_pictures: MakePictures, tmp_path: Path) -> None:
    """What its files name is somebody else's word."""
    swept(make_pictures(per_class=8), tmp_path / "run")
    file = tmp_path / "run" / "origin.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "cache_dir": str(tmp_path / "made")}))
    pictures_of(open_run(tmp_path / "run"))
    assert not (tmp_path / "made").exists()
    for change in ({"place": "memory://theirs"}, {"reading": {**values["reading"], "image_root": "memory://theirs"}}):
        file.write_text(json.dumps({**values, **change}))
        with pytest.raises(DataError, match="lie at 'memory://theirs', which a page does not open by itself"):
            pictures_of(open_run(tmp_path / "run"))


@pytest.mark.parametrize("change", [{"cache_dir": 5}, {"seed": "x"}, {"reading": 3}, {"made": {"cores": "many"}}])
def test_an_origin_of_other_types_is_none(
    make_pictures: MakePictures, tmp_path: Path, change: dict[str, object]
) -> None:
    swept(make_pictures(per_class=8), tmp_path / "run")
    file = tmp_path / "run" / "origin.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert open_run(tmp_path / "run").origin is None


@pytest.mark.parametrize("change", [{"front": []}, {"backbone": "another"}])
def test_findings_of_nothing_are_none(make_pictures: MakePictures, tmp_path: Path, change: dict[str, object]) -> None:
    swept(make_pictures(per_class=8), tmp_path / "run")
    file = tmp_path / "run" / "findings.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "findings": {**values["findings"], **change}}))
    assert open_run(tmp_path / "run").findings is None
