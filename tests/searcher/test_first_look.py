"""What a search looks at first, and what there is no time for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_lab import bare_networks
from tasks import bare_task, install
from tiny_backbone import TinyBackbone

from automl_tl.errors import BackboneError, OptionError
from automl_tl.searcher import first_look
from automl_tl.searcher.first_look import PACE_PICTURES, Pace
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.spare_time import LateError


@pytest.mark.parametrize(
    ("budget", "broken", "timed", "notes"),
    [
        (600.0, (), ["wide", "tiny", "small"], []),
        (20.0, (), ["small"], ["tiny was left out: a further", "wide was left out: a further"]),
        (20.0, ("small",), ["small", "tiny"], ["small is left out: too old", "wide was left out: a further"]),
        (None, (), [], []),
    ],
)
def test_no_time_is_spent_on_timing_what_there_is_no_time_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, budget: float | None, broken: tuple[str, ...], timed: list[str],
    notes: list[str],
) -> None:  # fmt: skip
    widths = {"wide": (32, 32, 32), "tiny": (8, 12, 16), "small": (2, 2, 2)}
    install(monkeypatch, **{name: TinyBackbone(widths=own) for name, own in widths.items()})
    asked: list[str] = []

    def picture_seconds(name: str, pictures: Any) -> float:
        asked.append(name)
        if name in broken:
            raise BackboneError("too old")
        return 0.1

    lab = SimpleNamespace(networks=bare_networks(tmp_path), backbones=tuple(widths), picture_seconds=picture_seconds)
    session: Any = SimpleNamespace(lab=lab, deadline=Deadline(budget))
    sample: Any = SimpleNamespace(pictures=())
    costs, said = first_look._costs(session, sample)
    assert asked == timed
    assert list(costs) == [name for name in timed or widths if name not in broken]
    assert [note[: len(start)] for note, start in zip(said, notes, strict=True)] == notes


@pytest.mark.parametrize(("missing", "looked_at"), [(40, ["fast"]), (0, ["fast", "slow"])])
def test_a_backbone_whose_features_are_kept_costs_no_pass(
    monkeypatch: pytest.MonkeyPatch, missing: int, looked_at: list[str]
) -> None:
    """As after `recommend` with the same cache."""
    monkeypatch.setattr(first_look, "extract_each", lambda lab, names, *rest: (dict.fromkeys(names, object()), ()))
    task = bare_task(np.arange(40) % 4)
    lab = SimpleNamespace(n_missing=lambda name, pictures: missing if name == "slow" else len(pictures))
    session: Any = SimpleNamespace(lab=lab, deadline=Deadline(100.0))
    found, remarks, _ = first_look._features(
        session, task, task.sample, {"fast": 0.01, "slow": 1.0}, lambda task, name: None
    )
    assert list(found.features) == looked_at
    assert [remark for remark in remarks if remark.startswith("slow was left out: it needs about 50 s")] == remarks
    assert len(remarks) == 2 - len(looked_at)


def test_a_backbone_that_is_left_out_takes_no_time_from_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "extract_each", lambda lab, names, *rest: (dict.fromkeys(names, object()), ()))
    task = bare_task(np.arange(40) % 4)
    lab = SimpleNamespace(n_missing=lambda name, pictures: 0 if name == "kept" else len(pictures))
    session: Any = SimpleNamespace(lab=lab, deadline=Deadline(100.0))
    costs = {"fast": 0.01, "slow": 1.0, "kept": 2.0}
    found, _, _ = first_look._features(session, task, task.sample, costs, lambda task, name: None)
    assert list(found.features) == ["fast", "kept"]


def test_a_resumed_search_looks_at_no_other_pictures_than_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of fewer pictures would be written over those that are kept."""

    def late(*arguments: object) -> None:
        raise LateError

    monkeypatch.setattr(first_look, "extract_each", late)
    session: Any = SimpleNamespace(
        lab=SimpleNamespace(n_missing=lambda name, pictures: len(pictures)), deadline=Deadline(100.0)
    )
    task = bare_task(np.arange(40) % 4)
    with pytest.raises(OptionError, match=r"too short to look again at the 40 pictures.*longer --budget"):
        first_look._features(session, task, None, {"tiny": 0.1}, lambda task, name: None)


def test_features_that_came_too_late_show_how_slow_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: set[str] = set()

    def late_at_first(lab: Any, names: list[str], *rest: Any) -> tuple[dict[str, object], tuple[()]]:
        if len(rest) > 1:  # it was to be in time
            clock.now += 70.0
            kept.update(map(str, range(70)))
            raise LateError
        return dict.fromkeys(names, object()), ()

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(first_look, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(first_look, "extract_each", late_at_first)
    task = bare_task(np.arange(100) % 4)
    lab = SimpleNamespace(n_missing=lambda name, pictures: len(pictures) - len(kept))
    deadline = SimpleNamespace(budget=40.0, left=40.0, is_set=True)
    session: Any = SimpleNamespace(lab=lab, deadline=deadline)
    _, _, pace = first_look._features(session, task, task.sample, {"tiny": 0.1}, lambda task, name: None)
    assert pace.slowdown(1.0) == pytest.approx(10.0)  # 70 pictures of 100 in 70 s in place of 7


def test_how_slow_the_machine_is_follows_from_all_pictures_where_they_are_many() -> None:
    pace = Pace()
    pace.learn(PACE_PICTURES - 1, 0.1, 100.0)
    assert pace.slowdown(2.5) == 2.5  # what the first ones showed, which may have waited for something else
    pace.learn(1000, 0.2, 100.0)
    assert pace.slowdown(2.5) == 1.0
    pace.learn(1000, 0.1, 300.0)
    assert pace.slowdown(2.5) == pytest.approx(500 / (300 + 0.1 * (PACE_PICTURES - 1)))
