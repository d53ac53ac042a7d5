"""How the chosen candidates are refitted in the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loops import make_loop, seconds, trained
from tasks import RIDGE, TUNED, outcome, retuned

from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.delivery import members
from automl_tl.searcher.delivery import refit as module
from automl_tl.searcher.delivery.members import Refitted
from automl_tl.searcher.delivery.refit import LEAST_EPOCHS
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.loop import Loop

TEN = retuned(TUNED, epochs=10)
N = 40


def whole(loop: Loop) -> float:
    return seconds(loop, TEN, N)


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return make_loop(tmp_path)


@pytest.mark.parametrize(
    ("share", "epochs"),
    [
        (1.0, None),
        (5.0, None),
        (0.36, None),
        (0.34, 3),
        (0.25, LEAST_EPOCHS),
        (0.15, 0),
        (0.0, 0),
        (-1.0, 0),
    ],
)
def test_the_schedule_or_a_few_epochs_more_or_nothing(loop: Loop, share: float, epochs: int | None) -> None:
    found = trained(loop.task, TEN)
    assert module._affordable(loop, found, share * whole(loop)) == epochs


def test_the_head_s_own_epochs_count_as_time(loop: Loop) -> None:
    layered = retuned(TEN, layers="fully_connected", head_epochs=5)
    found = trained(loop.task, layered)
    left = 0.3 * seconds(loop, layered, N)
    assert module._affordable(loop, found, left) == 4  # of 15


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let nothing be trained; return a list that gets how every candidate was to be refitted."""
    made: list[dict[str, Any]] = []

    def refitted(task: Any, outcome: Any, l2: float, executor: Any, watch: Any = None, **how: Any) -> Refitted:
        assert how.pop("state", outcome.state) is outcome.state
        made.append({"trained": bool(outcome.state), **how})
        return Refitted("refitted", task.sample.n)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "refitted", refitted)
    monkeypatch.setattr(module, "with_second_round", lambda task, outcome, first, *_, **__: first)
    monkeypatch.setattr(members, "kept_member", lambda task, configuration, state: "kept")
    return made


def at(loop: Loop, share: float) -> Loop:
    """Leave a share of a whole refit."""
    loop.session.deadline.seconds = loop.allotment.final_seconds + share * whole(loop)  # type: ignore[attr-defined]
    return loop


def refit(loop: Loop) -> list[Any]:
    task = loop.task
    return module.refit_chosen(loop, [trained(task, TEN), outcome(task, 0.8, configuration=RIDGE)])[0]


def test_where_there_is_time_a_candidate_goes_on_from_its_trial(loop: Loop, calls: list[dict[str, Any]]) -> None:
    first, second = refit(at(loop, 1.5))
    assert (first.member, first.note, second.member) == ("refitted", "", "refitted")
    limit = pytest.approx(1.5 * whole(loop))
    assert calls == [{"trained": False}, {"trained": True, "allowance": Allowance(limit)}]  # the frozen one first


def test_where_there_is_less_time_training_goes_on(loop: Loop, calls: list[dict[str, Any]]) -> None:
    first, _ = refit(at(loop, 0.25))
    assert (first.member, first.note) == ("refitted", "")
    assert calls[1] == {"trained": True, "allowance": Allowance(pytest.approx(0.25 * whole(loop)), epochs=2)}


@pytest.mark.parametrize("interrupted", [False, True])
def test_where_there_is_none_the_trial_s_model_is_kept(
    loop: Loop, calls: list[dict[str, Any]], interrupted: bool
) -> None:
    loop.interrupted = interrupted
    first, second = refit(at(loop, 1.5 if interrupted else 0.1))
    assert (first.member, first.n) == ("kept", 30)
    why = "The search was interrupted before the" if interrupted else "There was no time for a"
    assert first.note.startswith(f"{why} refit on every training picture")
    assert "have not learned from 10 of them" in first.note
    assert second.member == "refitted"  # a frozen one is solved in no time
    assert calls == [{"trained": False}]


def test_without_a_budget_a_refit_has_no_limit(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    refit(make_loop(tmp_path, left=None))
    assert calls[1] == {"trained": True, "allowance": Allowance()}


def test_what_the_frozen_partner_takes_to_learn_from_the_test_part_is_left_to_it(
    tmp_path: Path, calls: list[dict[str, Any]]
) -> None:
    loop = make_loop(tmp_path, held_aside=20)
    loop.candidates.others = [replace(loop.candidates.reference.outcome, seconds=0.1 * whole(loop))]
    refit(at(loop, 1.5))
    assert calls[1] == {"trained": True, "allowance": Allowance(pytest.approx(1.3 * whole(loop)))}


class Rounds:
    """Stands for a whole refit that takes `seconds` of the time left, and for its second round."""

    def __init__(self, loop: Loop, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0, **first: Any) -> None:
        self.loop, self.seconds = loop, seconds
        self.first = replace(Refitted("first", N), **first)  # type: ignore[arg-type]
        self.allowed: list[float | None] = []
        self.error: BaseException | None = None
        monkeypatch.setattr(module, "refitted", self.refitted)
        monkeypatch.setattr(module, "with_second_round", self.with_second_round)

    def refitted(self, *_: Any, **__: Any) -> Refitted:
        if self.loop.session.deadline.is_set:
            self.loop.session.deadline.seconds -= self.seconds  # type: ignore[attr-defined]
        return self.first

    def with_second_round(self, task: Any, outcome: Any, first: Refitted, *_: Any, **how: Any) -> Refitted:
        assert first is self.first
        self.allowed.append(how["allowance"].seconds)
        if self.error is not None:
            raise self.error
        return replace(first, member="both")  # type: ignore[arg-type]

    def member(self, configuration: Configuration = TEN) -> Any:
        return module.refit_chosen(self.loop, [trained(self.loop.task, configuration)])[0][0].member


def test_time_that_is_left_goes_into_a_second_round(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(at(loop, 1.5), monkeypatch, whole(loop))
    assert rounds.member() == "both"
    assert rounds.allowed == pytest.approx([0.5 * whole(loop)])


@pytest.mark.parametrize(("left", "rounds"), [(1.36, 1), (1.34, 0)])
def test_a_second_round_has_a_third_of_its_time_at_least(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, left: float, rounds: int
) -> None:
    made = Rounds(at(loop, left), monkeypatch, whole(loop))
    assert made.member() == ("both" if rounds else "first")
    assert len(made.allowed) == rounds


def test_what_is_not_whole_does_not_go_on(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Rounds(at(loop, 5.0), monkeypatch, share=0.9).member() == "first"
    assert Rounds(at(loop, 5.0), monkeypatch, is_refit=False).member() == "first"
    assert Rounds(at(loop, 0.3), monkeypatch).member() == "first", "it went on for a few epochs"
    assert Rounds(at(loop, 5.0), monkeypatch).member(retuned(TEN, batchnorm="adapting")) == "first"
    assert Rounds(at(loop, 5.0), monkeypatch).member() == "both"


def test_without_a_budget_a_second_round_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(make_loop(tmp_path, left=None), monkeypatch)
    assert rounds.member() == "both"
    assert rounds.allowed == [None]


@pytest.mark.parametrize(("left", "member"), [(1.5, "first"), (3.0, "both")])
def test_what_learning_from_the_test_part_takes_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, member: str
) -> None:
    loop = make_loop(tmp_path, held_aside=20)
    assert Rounds(at(loop, left), monkeypatch, whole(loop)).member() == member


def test_a_second_round_that_is_interrupted_costs_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(at(loop, 3.0), monkeypatch)
    rounds.error = KeyboardInterrupt()
    assert rounds.member() == "first"
    assert loop.interrupted
