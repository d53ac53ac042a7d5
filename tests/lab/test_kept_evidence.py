"""Evidence that is kept: the same again for the same features and labels, anew for anything else or what is damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from small_lab import bare_lab
from test_evidence import CLASSES, Generated, N

from automl_tl.features.extract import Features
from automl_tl.features.memo import remember
from automl_tl.features.picture import Picture
from automl_tl.lab import kept_evidence as module
from automl_tl.lab.evidence import Evidence
from automl_tl.lab.kept_evidence import evidence_of, from_dict, to_dict
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import Sample
from automl_tl.learning.scores import get_metric
from automl_tl.monitor import unheeded

FEATURES = cast(dict[str, Features], {"a": Generated("a")})


def sample() -> Sample:
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(N))
    y, folds = np.arange(N) % CLASSES, np.arange(N) // CLASSES % 5
    return Sample(pictures, y, folds, np.arange(N), ("x", "y", "z"), N, N / CLASSES)


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what notes every gathering; networks that are not there have a key all the same."""
    found: list[str] = []
    real = module.gather_evidence

    def gather(*arguments: Any, **options: Any) -> Evidence:
        found.append("gathered")
        return real(*arguments, **options)

    monkeypatch.setattr(module, "gather_evidence", gather)
    monkeypatch.setattr(
        Networks, "way", lambda self, name, fit, view: SimpleNamespace(key={"backbone": name, "fit": fit})
    )
    return found


def same(one: Evidence, other: Evidence) -> bool:
    return json.dumps(to_dict(one)) == json.dumps(to_dict(other))


def test_the_second_time_nothing_is_gathered(tmp_path: Path, gathered: list[str]) -> None:
    lab = bare_lab(tmp_path)
    first, second = (evidence_of(lab, FEATURES, sample(), unheeded) for _ in range(2))
    assert gathered == ["gathered"]
    assert same(first, second)
    late = second.late
    assert second.screened(late).source == late.source
    assert late.path.predictions.dtype == np.int32


def moved(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 1)


OTHER: dict[str, Callable[[Sample], Sample]] = {
    "labels": lambda s: replace(s, y=moved(s.y)),
    "folds": lambda s: replace(s, folds=moved(s.folds)),
    "groups": lambda s: replace(s, groups=s.groups // 2),
    "pictures": lambda s: replace(s, pictures=s.pictures[1:] + s.pictures[:1]),
}


@pytest.mark.parametrize("what", OTHER)
def test_other_pictures_or_labels_are_looked_at_anew(tmp_path: Path, gathered: list[str], what: str) -> None:
    lab = bare_lab(tmp_path)
    evidence_of(lab, FEATURES, sample(), unheeded)
    evidence_of(lab, FEATURES, OTHER[what](sample()), unheeded)
    assert len(gathered) == 2


def test_so_is_everything_under_another_metric_seed_or_preparation(tmp_path: Path, gathered: list[str]) -> None:
    other = SimpleNamespace(fit="pad")
    for more in ({}, {"metric": get_metric("macro_f1")}, {"seed": 1}, {"report": other}):
        evidence_of(bare_lab(tmp_path, **more), FEATURES, sample(), unheeded)
    assert len(gathered) == 4


def test_with_a_deadline_nothing_is_kept(tmp_path: Path, gathered: list[str]) -> None:
    for _ in range(2):
        evidence_of(bare_lab(tmp_path), FEATURES, sample(), unheeded, deadline=1e12)
    assert len(gathered) == 2
    assert not (tmp_path / "evidence").exists()


def damaged(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def damage(values: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for step in way:
            values = values[int(step) if step.isdigit() else step]
        values[last] = value

    return damage


DAMAGES = {
    "a class that there is not": damaged("probe.0.predictions", [[CLASSES] * N] * 13),
    "a class before the first": damaged("probe.0.predictions", [[-1] * N] * 13),
    "halves of classes": damaged("probe.0.predictions", [[0.5] * N] * 13),
    "too few predictions": damaged("probe.0.predictions", [[0] * (N - 1)] * 13),
    "a picture that there is not": damaged("probe.0.rows", [N] * N),
    "a penalty too many": damaged("probe.0.best", 13),
    "no number": damaged("probe.0.accuracy", math.nan),
    "a stage beyond the last": damaged("finalists.0.cuts", [99]),
    "nobody": damaged("finalists", []),
    "a text in place of a list": damaged("probe", "a"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_refused(tmp_path: Path, gathered: list[str], what: str) -> None:
    values = json.loads(json.dumps(to_dict(evidence_of(bare_lab(tmp_path), FEATURES, sample(), unheeded))))
    assert same(from_dict(values, sample()), from_dict(values, sample()))
    DAMAGES[what](values)
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_dict(values, sample())


def test_the_oldest_results_go(tmp_path: Path) -> None:
    for number in range(5):
        remember(tmp_path, {"number": number}, lambda: 1, most=3)
    assert len(list(tmp_path.glob("*.json"))) == 3
