"""Searches by a clock that only the network moves on, so that what else this machine does changes nothing.

A picture that goes through a stage takes a share of a second of that clock. So a machine that was idle when it was
timed, and is shared with others from some moment on, is one factor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from generated_pictures import MakePictures, add_odd_pictures, picture, write_pictures
from tasks import install
from tiny_backbone import TinyBackbone
from torch import nn

import automl_tl
from automl_tl.learning.curve import curve_through
from automl_tl.learning.recipe import epochs_for, long_epochs_for
from automl_tl.monitor import Progress, Silent, Status
from automl_tl.searcher import growth
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.search import search

BUDGET, ALLOWED = 20.0, 20.0 * 1.05 + 5.0
OPTIONAL = "Left out, since there was no time for it on this machine: "


class FakeClock:
    """Stands still but for what goes through a network, and a moment whenever it is read."""

    def __init__(self) -> None:
        self.now, self.factor = 1000.0, 1.0

    def __call__(self) -> float:
        self.now += 1e-4
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds * self.factor

    def __deepcopy__(self, memo: Any) -> FakeClock:
        return self


class SlowStage(nn.Module):
    """A stage that takes time of a clock for every picture."""

    def __init__(self, stage: nn.Module, seconds: float, clock: FakeClock) -> None:
        super().__init__()
        self.stage, self.seconds, self.clock = stage, seconds, clock

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.clock.spend(self.seconds * len(x))
        return self.stage(x)  # type: ignore[no-any-return]


class SlowBackbone(TinyBackbone):
    """Takes so many seconds of a clock for a picture."""

    def __init__(self, seconds: float, clock: FakeClock) -> None:
        super().__init__()
        self.seconds, self.clock = seconds, clock

    def build(self, *, pretrained: bool = True) -> nn.Module:
        module: Any = super().build(pretrained=pretrained)
        return nn.Sequential(*(SlowStage(stage, self.seconds / len(module), self.clock) for stage in module))


class BecomesSlow(Silent):
    """Makes the clock run faster from the first activity of a name on; "trial" is the first trial."""

    def __init__(self, clock: FakeClock, at: str, factor: float) -> None:
        self.clock, self.at, self.factor = clock, at, factor

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        self._note(name)
        with super().activity(name) as update:
            yield update

    def show(self, status: Status) -> None:
        self._note("trial")

    def _note(self, name: str) -> None:
        if self.at and name.startswith(self.at):
            self.clock.factor = self.factor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.fixture
def data(make_pictures: MakePictures) -> Path:
    """Return 204 pictures of 3 classes, some of which look like another class; 40 are held aside."""
    return add_odd_pictures(make_pictures(per_class=60), per_class=8)


def searched(
    clock: FakeClock, data: Path, at: str = "", factor: float = 10.0, budget: float = BUDGET
) -> tuple[SearchResult, float]:
    """Return what a search came to, and the seconds of the clock that it took."""
    begun = clock.now
    result = search(data, budget=budget, out=data.parent / "run", monitor=BecomesSlow(clock, at, factor))
    return result, clock.now - begun


def kept_space(data: Path, run: str = "run") -> dict[str, Any]:
    """Return what a run may choose from, as it has written it down."""
    return dict(json.loads((data.parent / run / "space.json").read_text()))


def left_out(result: SearchResult) -> list[str]:
    return [note.removeprefix(OPTIONAL) for note in result.notes if note.startswith(OPTIONAL)]


@pytest.mark.parametrize(
    ("seconds", "at"),
    [
        (0.3, ""),
        (0.02, "Features of slow"),
        (0.02, "Measuring the domain distance"),
        (0.005, "trial"),
        pytest.param(0.1, "", marks=pytest.mark.slow),
        pytest.param(0.02, "Timing a training step", marks=pytest.mark.slow),
        pytest.param(0.02, "Solving the best sources", marks=pytest.mark.slow),
        pytest.param(0.005, "Refitting", marks=pytest.mark.slow),
        pytest.param(0.005, "Testing once", marks=pytest.mark.slow),
    ],
)
def test_a_search_keeps_its_budget_on_a_machine_that_is_or_becomes_slow(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path, seconds: float, at: str
) -> None:
    install(monkeypatch, slow=SlowBackbone(seconds, clock))
    result, took = searched(clock, data, at)
    assert took <= ALLOWED
    assert result.seconds == pytest.approx(took, abs=1.0)
    assert result.n_test >= 30
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")


def test_it_keeps_its_budget_where_it_becomes_slow_while_pictures_are_seen_in_another_way(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, tmp_path: Path
) -> None:
    install(monkeypatch, slow=SlowBackbone(0.02, clock))
    data = write_pictures(tmp_path / "data", per_class=60, size=(90, 60))
    _, took = searched(clock, data, "Features of pictures made square by cutting out the middle")
    assert took <= ALLOWED


def test_what_there_was_no_time_for_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path
) -> None:
    install(monkeypatch, slow=SlowBackbone(0.3, clock))
    result, _ = searched(clock, data)
    (said,) = left_out(result)
    assert said == (
        "timing a training step (estimated instead); the distance from the pretraining domain by depth; trying whether "
        "flips keep the label (none are used)."
    )
    assert result.assessment.flips == ()
    assert result.assessment.domain.note == "there was no time to measure it"
    assert any(note.startswith("The budget allows ") for note in result.notes)


def test_on_a_machine_that_is_fast_enough_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path
) -> None:
    install(monkeypatch, slow=SlowBackbone(0.002, clock))
    result, took = searched(clock, data)
    assert took <= BUDGET
    assert left_out(result) == []
    assert len(result.assessment.flips) == 2
    assert result.assessment.sample.n == 80  # as many as a budget of 20 s is assessed on


def test_late_no_further_backbone_is_loaded_or_timed(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path
) -> None:
    install(monkeypatch, **{f"slow{i}": SlowBackbone(0.2 + 0.01 * i, clock) for i in range(6)})
    result, took = searched(clock, data, budget=80.0)
    assert took <= 80 * 1.05 + 5
    assert sum("there was no time for it; give a longer --budget" in note for note in result.notes) >= 2


@pytest.mark.parametrize("size", [(48, 48), (60, 42)])
def test_a_machine_that_is_slower_than_when_it_was_timed_gets_fewer_pictures(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path, size: tuple[int, int]
) -> None:
    """The second search knows the speed from the first one, when the machine had nothing else to do."""
    install(monkeypatch, slow=SlowBackbone(0.01, clock))
    searched(clock, data)
    clock.factor = 8.0
    other = data.parent / "other"
    (data.parent / "other").mkdir()
    for number, name in enumerate(("apple", "leaf", "sky")):
        (other / name).mkdir()
        for index in range(100):
            picture(number, 2000 + index, size).save(other / name / f"{index}.png")
    begun = clock.now
    result = search(other, budget=BUDGET, out=data.parent / "second")
    assert clock.now - begun <= ALLOWED
    assert any("The budget allows" in note for note in result.notes)


@pytest.mark.parametrize("at", ["", "Solving the best sources on more pictures"])
def test_a_search_whose_sample_grows_keeps_its_budget(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path, at: str
) -> None:
    install(monkeypatch, slow=SlowBackbone(0.01, clock))
    sizes, right = np.array([5.0, 10.0, 20.0, 32.0]), np.arange(1000) < np.array([[500], [600], [700], [800]])
    monkeypatch.setattr(growth, "_curve", lambda *_: curve_through(sizes, right, np.arange(1000)))
    monkeypatch.setattr("automl_tl.searcher.search.FIRST_PICTURES", 40)
    result, took = searched(clock, data, at, budget=100.0)
    assert took <= 100.0 * 1.05 + 5.0
    assert any("The sample grew from 64 to 128 " in note for note in result.notes)
    assert kept_space(data)["long_epochs"] == 0  # time is for more pictures


def test_few_pictures_are_gone_round_more_often_by_a_clock_alone(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, data: Path
) -> None:
    install(monkeypatch, slow=SlowBackbone(0.004, clock))
    result, took = searched(clock, data, budget=60.0)
    assert took <= 60.0 * 1.05 + 5.0
    space, n = kept_space(data), 164  # of 204, with 40 held aside
    assert space["long_epochs"] == long_epochs_for(n) > epochs_for(n)
    tried = pd.read_csv(result.leaderboard)
    epochs = tried.loc[tried["strategy"] == "fine_tuning", "param.epochs"]
    assert epochs_for(n) < epochs.max() <= long_epochs_for(n)
    search(data, trials=1, out=data.parent / "counted")
    assert kept_space(data, "counted")["long_epochs"] == 0
