"""Who is delivered together, and what becomes of the test part."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from loops import LAST, Standing, make_loop, trained
from tasks import RIDGE, TUNED, install, outcome, retuned
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.errors import AutomlTlError, BackboneError
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import expected_accuracy
from automl_tl.learning.finetune import TrainingError
from automl_tl.learning.selection import OutOfFold
from automl_tl.searcher.delivery import deliver as module
from automl_tl.searcher.delivery import everything, unseen
from automl_tl.searcher.delivery.deliver import _has_learned_more
from automl_tl.searcher.delivery.members import Refitted
from automl_tl.searcher.delivery.unseen import unseen_pictures
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.search import search
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.trials.comparison import Comparison
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome

TEN = retuned(TUNED, epochs=10)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return make_loop(tmp_path)


# --- the partner of the best one --------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "expected"), [("ttff", 2), ("ffft", 3), ("tft", 1), ("ffff", None), ("t", None)])
def test_the_partner_is_the_best_one_of_the_other_kind(loop: Loop, kinds: str, expected: int | None) -> None:
    task = loop.task
    ranked = [trained(task, TEN) if kind == "t" else outcome(task, 0.8, configuration=RIDGE) for kind in kinds]
    assert module._partner(task, ranked) is (None if expected is None else ranked[expected])


def test_the_partner_is_the_one_that_errs_otherwise_whichever_backbone_it_has(loop: Loop) -> None:
    task, best = loop.task, trained(loop.task, TEN)
    wrong = best.predictions != task.y[best.rows]
    other = replace(RIDGE, backbone="wide")
    alike = outcome(task, 1.0, configuration=RIDGE)
    alike.scores[best.rows[wrong]] = best.scores[wrong]
    otherwise = outcome(task, 1.0, configuration=other)
    assert module._partner(task, [best, alike, otherwise]) is otherwise
    assert module._partner(task, [best, otherwise, alike]) is otherwise
    assert module._partner(task, [otherwise, alike]) is alike  # two frozen ones of two backbones
    second = trained(task, retuned(replace(TUNED, backbone="wide"), epochs=10))
    assert module._partner(task, [best, second, alike]) is alike  # never two trained ones


# --- the test part ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TrainingError("the loss became nan"), "since learning from the test part failed: the loss became nan"),
        (BackboneError("tiny could not be built"), "failed: tiny could not be built"),
        (KeyboardInterrupt(), "learning from the test part was interrupted"),
        (RuntimeError("the device is\ngone"), "failed: RuntimeError: the device is gone"),
    ],
)  # fmt: skip
def test_the_tested_model_is_kept_whatever_goes_wrong(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(everything, "_learn_from_everything", fail)
    tested: Any = SimpleNamespace()
    model, note = everything.whole_or_tested(loop, [], [], [], tested)
    assert model is tested
    assert note.startswith("The delivered model is the tested one")
    assert said in note


@pytest.fixture
def many(make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return so many pictures that a test part is held aside."""
    install(monkeypatch, tiny=TinyBackbone())
    return make_pictures(classes=("a", "b"), per_class=60)


def quick_search(data: Path, out: Path, **more: Any) -> SearchResult:
    return search(data, trials=1, out=out, backbones=["tiny"], without=["trained"], **more)


@pytest.mark.parametrize("error", [AutomlTlError("no more"), KeyboardInterrupt()])
def test_the_tested_model_is_on_the_disk_before_the_test_part_is_learned_from(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    kept: list[Any] = []

    def fail(*_: Any) -> Any:
        kept.append(automl_tl.load(tmp_path / "run" / "bundle"))
        raise error

    monkeypatch.setattr(everything, "_learn_from_everything", fail)
    result = quick_search(many, tmp_path / "run")
    ((before,), after) = kept, automl_tl.load(result.bundle)
    assert before.details == after.details
    assert after.details["metrics"]["test"]["n"] == result.n_test == 24
    files = sorted(many.rglob("*.png"))
    np.testing.assert_array_equal(before.probabilities(files), after.probabilities(files))
    assert sum("the tested one" in note for note in result.notes) == 1
    assert (tmp_path / "run" / "result.json").exists()


def test_a_rejected_refit_on_everything_leaves_the_tested_model(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Refitted] = everything.refitted

    def refitted(task: Any, *args: Any, **more: Any) -> Refitted:
        return replace(real(task, *args, **more), is_refit=task.sample.n != 120)

    monkeypatch.setattr(everything, "refitted", refitted)
    result = quick_search(many, tmp_path / "run")
    assert "The delivered model is the tested one: the refit on everything was rejected." in result.notes


def test_a_refit_on_everything_that_was_cut_short_leaves_the_tested_model(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Refitted] = everything.refitted

    def refitted(task: Any, *args: Any, **more: Any) -> Refitted:
        return replace(real(task, *args, **more), share=0.1)

    monkeypatch.setattr(everything, "refitted", refitted)
    result = quick_search(many, tmp_path / "run")
    assert any("learning from the test part took longer than foreseen" in note for note in result.notes)
    assert automl_tl.load(result.bundle).details["data"]["learned_from"] == [96]


def test_without_time_the_tested_model_is_delivered(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_tl.searcher.beginning.final_seconds", lambda *_: 1e6)
    monkeypatch.setattr(everything, "_everything_seconds", lambda *_: 1e6)
    result = quick_search(many, tmp_path / "run", budget=600)
    assert result.stopped_because == "the budget is used up"
    assert result.n_trials == 0
    assert result.best.training == "frozen"
    assert result.test is not None
    assert any("there was no time to learn from the test part as well" in note for note in result.notes)


def test_with_time_for_frozen_members_alone_the_trained_ones_stay_as_they_were_tested(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(loop: Loop, ranked: Sequence[Comparison]) -> tuple[list[Outcome], list[float]]:
        outcomes = [c.outcome for c in ranked]
        return [next(o for o in outcomes if o.configuration.is_trained is wanted) for wanted in (True, False)], [
            0.4,
            0.6,
        ]

    def seconds(loop: Loop, chosen: Sequence[Outcome], n: int) -> float:
        return 1e6 if any(outcome.configuration.is_trained for outcome in chosen) else 0.0

    monkeypatch.setattr(module, "_choose", both)
    monkeypatch.setattr(everything, "_everything_seconds", seconds)
    tested: list[Any] = []
    real: Callable[..., Any] = everything.whole_or_tested
    monkeypatch.setattr(module, "whole_or_tested", lambda *given: tested.append(given[-1]) or real(*given))
    result = search(many, trials=1, budget=600, out=tmp_path / "run", backbones=["tiny"])
    model = automl_tl.load(result.bundle)
    assert model.details["data"]["learned_from"] == [96, 120]
    assert model.details["metrics"]["of"] == {"this_model": False, "n_training": 96}
    ours, before = model.members, tested[0].members
    assert [member.weight for member in ours] == pytest.approx([0.4, 0.6])
    assert torch.equal(ours[0].head.linear.weight, before[0].head.linear.weight)
    assert not torch.equal(ours[1].head.linear.weight, before[1].head.linear.weight)
    assert any("the other stays as it was tested, from 96 of them" in note for note in result.notes)


def test_late_the_model_is_tested_on_a_few_pictures(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that stands still until the test: whatever was planned, the test ends with the budget."""
    monkeypatch.setattr(unseen, "LEAST_TESTED", 5)
    seen: list[int] = []

    class Late(Standing):
        @property
        def left(self) -> float:
            seen.append(1)
            return 100.0 if len(seen) <= 3 else 0.0

    enough = unseen.in_time(Late(100.0))
    assert [enough(n) for n in (0, 4, 5, 6, 7, 8, 2)] == [False, False, False, False, False, True, False]

    monkeypatch.setattr(module, "in_time", lambda deadline: unseen.in_time(Standing(0.0)))
    result = quick_search(many, tmp_path / "run")
    assert result.test is not None
    assert result.n_test == 5
    assert "There was time to test the model on 5 of the 24 test pictures, drawn at random." in result.notes


def test_a_resumed_session_leaves_a_model_that_has_learned_from_more(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    first = quick_search(many, out)
    before = (first.bundle / "bundle.json").read_bytes()
    assert automl_tl.load(first.bundle).details["data"]["learned_from"] == [120]
    with monkeypatch.context() as patch:
        patch.setattr(everything, "_learn_from_everything", lambda *_: (_[-1], "There was no time."))
        again = quick_search(many, out, resume=True)
    assert (first.bundle / "bundle.json").read_bytes() == before
    assert again.shares == first.shares
    assert first.test is not None
    assert again.test is not None
    assert again.test.numbers == pytest.approx(first.test.numbers, abs=1e-6)  # probabilities are kept as float32
    assert again.test.paths == first.test.paths
    assert any(
        note.startswith("The model of the session before stays: it has learned from more") for note in again.notes
    )
    assert not any("session before stays" in note for note in quick_search(many, out, resume=True).notes)


@pytest.mark.parametrize("finished", [False, True])
def test_a_model_whose_test_is_interrupted_says_what_it_is_or_leaves_the_tested_one(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(everything, "_learn_from_everything", lambda *_: (_[-1], "There was no time."))
    if finished:
        quick_search(many, out)
    before = (out / "bundle" / "bundle.json").read_bytes() if finished else b""

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "tested", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick_search(many, out, resume=finished)
    said = automl_tl.load(out / "bundle").details
    assert said["data"]["learned_from"]
    assert said["configuration"]["members"]
    if finished:
        assert (out / "bundle" / "bundle.json").read_bytes() == before
    else:
        assert said["metrics"]["test"] is None


def searched_once(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> SearchResult:
    """Return what a search found; whoever resumes it has no time to learn from the test part as well."""
    first = quick_search(data, out)
    monkeypatch.setattr(everything, "_learn_from_everything", lambda *_: (_[-1], "There was no time."))
    return first


def test_what_a_resumed_session_says_is_of_the_model_that_stays(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own would have two members, which have learned from fewer pictures than the model of before."""
    first = searched_once(many, tmp_path / "run", monkeypatch)
    monkeypatch.setattr(module, "_choose", lambda loop, ranked: ([c.outcome for c in ranked[:2]][::-1], [0.5, 0.5]))
    again = quick_search(many, tmp_path / "run", resume=True)
    assert any(note.startswith("The model of the session before stays") for note in again.notes)
    assert again.members == first.members == RunFolder(tmp_path / "run").delivered()
    assert again.shares == first.shares
    assert again.validation.accuracy == pytest.approx(first.validation.accuracy, abs=0.02)


def test_a_model_of_before_that_cannot_be_read_any_more_is_replaced(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = searched_once(many, tmp_path / "run", monkeypatch)
    (first.bundle / "model.safetensors").write_bytes(b"damaged")
    again = quick_search(many, tmp_path / "run", resume=True)
    assert not any("session before stays" in note for note in again.notes)
    assert automl_tl.load(again.bundle).details["data"]["learned_from"] == [96]


def test_what_pictures_that_are_not_learned_from_would_add_is_not_promised(loop: Loop) -> None:
    def expected(n_training: int) -> float:
        curve, sample = SimpleNamespace(step=lambda start, end: ((end - start) / 1000, 0.1)), SimpleNamespace()
        sample.n_training = n_training
        estimates = {"feature_extractor": expected_accuracy(OutOfFold(np.arange(40)[:, None] < 28))}
        expectations = SimpleNamespace(estimates=estimates, candidates={"feature_extractor": LAST}, curve=curve)
        loop.prepared = replace_assessment(loop, SimpleNamespace(expectations=expectations, sample=sample))
        return module.validation_estimate(loop, [loop.candidates.reference.outcome], [1.0]).accuracy

    assert expected(140) == pytest.approx(expected(40) - 0.1, abs=0.01)


def test_of_a_smaller_model_no_more_is_promised_than_it_reaches(loop: Loop) -> None:
    """The estimate is of the best source of all, which a limit rules out."""
    reached = float((loop.candidates.reference.outcome.predictions == loop.task.y).mean())
    estimate = expected_accuracy(OutOfFold(np.arange(400)[:, None] < 380))
    found = SimpleNamespace(
        expectations=SimpleNamespace(estimates={"feature_extractor": estimate}, candidates={"feature_extractor": LAST}),
        sample=SimpleNamespace(n_training=loop.task.sample.n),
    )
    loop.prepared = replace_assessment(loop, found)

    def promised(limits: Limits) -> Any:
        loop.session = replace(loop.session, limits=limits)
        return module.validation_estimate(loop, [loop.candidates.reference.outcome], [1.0])

    free, limited = promised(Limits({"tiny": 3})), promised(Limits({"tiny": 2}))
    assert free.accuracy == pytest.approx(estimate.accuracy)
    assert limited.accuracy == pytest.approx(estimate.accuracy + reached - LAST.accuracy)
    assert limited.interval[1] - limited.interval[0] > free.interval[1] - free.interval[0]


def replace_assessment(loop: Loop, assessment: Any) -> Any:
    return SimpleNamespace(**{**vars(loop.prepared), "assessment": assessment})


def test_a_bundle_says_what_its_members_have_learned_from(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.bundle_learned_from() == ((), ())
    folder.bundle.mkdir()
    details = {"configuration": {"members": [RIDGE.to_dict(), TEN.to_dict()]}, "data": {"learned_from": [40, 30]}}
    (folder.bundle / "bundle.json").write_text(json.dumps(details))
    assert folder.bundle_learned_from() == ((RIDGE, TEN), (40, 30))
    for rubbish in ('{"configuration": 1}', json.dumps({**details, "data": {"learned_from": [40, "x"]}})):
        (folder.bundle / "bundle.json").write_text(rubbish)
        assert folder.bundle_learned_from() == ((), ())


@pytest.mark.parametrize(
    ("before", "before_from", "now", "now_from", "more"),
    [
        ((RIDGE, TEN), (40, 30), (RIDGE, TEN), (40, 29), True),
        ((RIDGE, TEN), (40, 30), (RIDGE, TEN), (40, 30), False),
        ((RIDGE, TEN), (40, 40), (TEN,), (32,), True),  # the other is what its trial left
        ((RIDGE, TEN), (40, 32), (TEN,), (32,), False),
        ((), (), (TEN,), (32,), False),
    ],
)
def test_a_model_that_has_learned_from_more_stays(
    before: tuple[Configuration, ...], before_from: tuple[int, ...], now: tuple[Configuration, ...],
    now_from: tuple[int, ...], more: bool,
) -> None:  # fmt: skip
    assert _has_learned_more(before, before_from, now, now_from) == more


def test_the_bundle_says_which_model_its_figures_are_of_and_what_it_has_learned_from(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quick_search(many, tmp_path / "whole")
    assert any("has learned from all 120 pictures" in note for note in whole.notes)
    said = automl_tl.load(whole.bundle).details
    assert said["metrics"]["of"] == {"this_model": False, "n_training": 96}
    assert said["data"] | {"fingerprint": ""} == {
        "fingerprint": "", "n_training": 120, "n_classes": 2, "per_class": {"a": 60, "b": 60}, "learned_from": [120],
        "learned_from_test": True,
    }  # fmt: skip
    card = (whole.bundle / "README.md").read_text(encoding="utf-8")
    assert "120 training pictures in 2 classes" in card
    assert "These figures are of the model as it was tested, from 96 pictures" in card
    monkeypatch.setattr(everything, "_everything_seconds", lambda *_: 1e6)
    said = automl_tl.load(quick_search(many, tmp_path / "tested", budget=600).bundle).details
    assert said["metrics"]["of"] == {"this_model": True, "n_training": 96}
    assert (said["data"]["n_training"], said["data"]["learned_from"]) == (96, [96])


def test_a_test_picture_that_cannot_be_read_any_more_does_not_cancel_the_test(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[Path] = []
    real: Callable[..., Any] = module.tested

    def tested(lab: Any, model: Any, enough: Any) -> Any:
        if not broken:
            broken.append(Path(unseen_pictures(lab)["path"].iloc[0]))
            broken[0].write_bytes(b"gone")
        return real(lab, model, enough)

    monkeypatch.setattr(module, "tested", tested)
    result = quick_search(many, tmp_path / "run")
    assert result.test is not None
    assert result.n_test == result.test.n == 23
    assert automl_tl.load(result.bundle).details["metrics"]["test"]["n"] == 23
    (note,) = (one for one in result.notes if "did not count" in one)
    assert note.startswith(f"1 of the 24 test pictures cannot be read any more and did not count: '{broken[0]}' (")


def test_where_no_test_picture_can_be_read_the_model_is_there_untested(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = module.tested

    def tested(lab: Any, model: Any, enough: Any) -> Any:
        for path in unseen_pictures(lab)["path"]:
            Path(path).unlink()
        return real(lab, model, enough)

    monkeypatch.setattr(module, "tested", tested)
    result = quick_search(many, tmp_path / "run")
    assert (result.test, result.n_test) == (None, 0)
    assert any(note.startswith("The model was not tested, since the test pictures cannot be") for note in result.notes)


def test_the_card_of_a_delivered_model_says_how_good_it_is(many: Path, tmp_path: Path) -> None:
    result = quick_search(many, tmp_path / "run")
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert result.test is not None
    assert f"Accuracy {result.test.accuracy:.1%}" in card
    assert f"Expected accuracy {result.validation.accuracy:.1%}" in card
    assert ("learned from the test pictures as well" in card) == any("learned from all" in one for one in result.notes)
    assert f"| tiny | {result.best.strategy.replace('_', chr(92) + '_')} |" in card
