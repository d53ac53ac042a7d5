"""What becomes of the chosen candidates in the time that is left, and of the test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from generated_pictures import MakePictures
from loops import make_loop, seconds, trained
from tasks import RIDGE, TUNED, install, outcome, retuned
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.errors import AutomlTlError, BackboneError
from automl_tl.searcher import finish as module
from automl_tl.searcher.finish import LEAST_EPOCHS
from automl_tl.searcher.members import Fitted
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.search import search
from automl_tl.searcher.trials import Loop
from automl_tl.training.finetune import TrainingError

TEN = retuned(TUNED, epochs=10)
N = 40


def whole(loop: Loop) -> float:
    return seconds(loop, TEN, N)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return make_loop(tmp_path)


# --- the partner of the best one --------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "expected"), [("ttff", 2), ("ffft", 3), ("tft", 1), ("ffff", None), ("t", None)])
def test_the_partner_is_the_best_one_of_the_other_kind(loop: Loop, kinds: str, expected: int | None) -> None:
    task = loop.prepared.task
    ranked = [trained(task, TEN) if kind == "t" else outcome(task, 0.8, configuration=RIDGE) for kind in kinds]
    assert module._partner(ranked) is (None if expected is None else ranked[expected])


# --- the refit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "epochs"),
    [
        (1.0, None),
        (5.0, None),
        (0.71, None),
        (0.69, 5),
        (0.45, 4),
        (0.25, LEAST_EPOCHS),
        (0.15, 0),
        (0.0, 0),
        (-1.0, 0),
    ],
)
def test_the_whole_schedule_or_a_few_epochs_more_or_nothing(loop: Loop, share: float, epochs: int | None) -> None:
    """Going on takes at most half of the schedule: the trial's weights are close already."""
    found = trained(loop.prepared.task, TEN)
    assert module._affordable(loop, loop.prepared.task, found, share * whole(loop)) == epochs


def test_the_head_s_own_epochs_count_as_time(loop: Loop) -> None:
    layered = retuned(TEN, layers="fully_connected", head_epochs=5)
    found = trained(loop.prepared.task, layered)
    left = 0.5 * seconds(loop, layered, N)
    assert module._affordable(loop, loop.prepared.task, found, left) == 5  # 7 of 15, but half of 10 at most


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let nothing be trained; return a list that gets how every candidate was to be refitted."""
    made: list[dict[str, Any]] = []

    def refitted(task: Any, outcome: Any, l2: float, **how: Any) -> Fitted:
        made.append({"trained": bool(outcome.state), **how})
        return Fitted("refitted", task.sample.n)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "refitted", refitted)
    monkeypatch.setattr(module, "kept_member", lambda task, outcome: "kept")
    return made


def at(loop: Loop, share: float) -> Loop:
    """Leave a share of a whole refit."""
    loop.deadline.seconds = loop.final_seconds + share * whole(loop)  # type: ignore[attr-defined]
    return loop


def refit(loop: Loop) -> list[Any]:
    task = loop.prepared.task
    return module._refit(loop, task, [trained(task, TEN), outcome(task, 0.8, configuration=RIDGE)])


def test_where_there_is_time_a_candidate_is_refitted_within_it(loop: Loop, calls: list[dict[str, Any]]) -> None:
    first, second = refit(at(loop, 1.5))
    assert (first.member, first.note, second.member) == ("refitted", "", "refitted")
    limit = pytest.approx(1.5 * whole(loop))
    assert calls == [{"trained": False}, {"trained": True, "limit": limit, "epochs": None}]  # the frozen one first


def test_where_there_is_less_time_training_goes_on(loop: Loop, calls: list[dict[str, Any]]) -> None:
    first, _ = refit(at(loop, 0.45))
    assert (first.member, first.note) == ("refitted", "")
    assert calls[1] == {"trained": True, "limit": pytest.approx(0.45 * whole(loop)), "epochs": 4}


@pytest.mark.parametrize("interrupted", [False, True])
def test_where_there_is_none_the_trial_s_model_is_kept(
    loop: Loop, calls: list[dict[str, Any]], interrupted: bool
) -> None:
    loop.interrupted = interrupted
    first, second = refit(at(loop, 1.5 if interrupted else 0.1))
    assert (first.member, first.n) == ("kept", 30)
    why = "The search was interrupted before the" if interrupted else "There was no time for a"
    assert first.note.startswith(f"{why} refit on every training picture")
    assert "has not learned from 10 of them" in first.note
    assert second.member == "refitted"  # a frozen one is solved in no time
    assert calls == [{"trained": False}]


def test_without_a_budget_a_refit_has_no_limit(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    refit(make_loop(tmp_path, left=None))
    assert calls[1] == {"trained": True, "limit": None, "epochs": None}


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

    monkeypatch.setattr(module, "_learn_from_everything", fail)
    tested: Any = SimpleNamespace()
    model, note = module._whole_or_tested(loop, [], [], tested)
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

    monkeypatch.setattr(module, "_learn_from_everything", fail)
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
    real: Callable[..., Fitted] = module.refitted

    def refitted(task: Any, *args: Any, **more: Any) -> Fitted:
        return replace(real(task, *args, **more), is_refit=task.sample.n != 120)

    monkeypatch.setattr(module, "refitted", refitted)
    result = quick_search(many, tmp_path / "run")
    assert "The delivered model is the tested one: the refit on everything was rejected." in result.notes


def test_without_time_the_tested_model_is_delivered(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "picture_seconds", lambda *_: 1e6)
    result = quick_search(many, tmp_path / "run", budget=600)
    assert result.stopped_because == "the budget is used up"
    assert result.n_trials == 0
    assert result.best.training == "frozen"
    assert result.test is not None
    assert any("there was no time to learn from the test part as well" in note for note in result.notes)
