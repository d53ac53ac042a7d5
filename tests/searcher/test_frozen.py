from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_pictures import MakePictures
from PIL import Image
from tasks import RIDGE, SOFTMAX, TUNED, tiny_task

from automl_tl.errors import AutomlTlError
from automl_tl.learning import effort
from automl_tl.learning.configuration import CLASSIFIERS, Configuration, Frozen
from automl_tl.learning.effort import Effort
from automl_tl.learning.heads import solve_head, solve_path
from automl_tl.learning.problem import Problem
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.learning.spectrum import decompose
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import frozen as module
from automl_tl.searcher.trials.frozen import first_model, score_frozen, solve_frozen, too_much

EVERY_VIEW = frozenset({"hflip", "vflip", "zoom"})


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, make_pictures: MakePictures, tmp_path: Path) -> Task:
    folder = make_pictures(per_class=(8, 7, 6))
    return tiny_task(monkeypatch, folder, tmp_path / "scratch", allowed_views=EVERY_VIEW)


def with_views(configuration: Configuration, views: str, **how: Any) -> Configuration:
    assert isinstance(configuration.how, Frozen)
    return replace(configuration, how=replace(configuration.how, views=views, **how))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_plain_scores_are_those_of_the_solved_path(task: Task, kind: str) -> None:
    configuration = replace(SOFTMAX, how=Frozen(kind, 0.5))
    found = score_frozen(task, configuration)
    spectrum = decompose(task.matrix("tiny", (2, 3), "mean+std"))
    y, folds = task.y, task.sample.folds
    if kind == "ridge":
        expected = ridge_path(Problem(spectrum, y, folds, 3), penalties=np.array([0.5]))
    else:
        expected = solve_path(kind, Problem(spectrum, y, folds, 3), np.array([0.5 * spectrum.unit / task.sample.n]))
    np.testing.assert_allclose(found.scores, expected.oof, rtol=1e-5, atol=1e-5)
    assert found.value == expected.value
    np.testing.assert_array_equal(found.rows, np.arange(21))
    assert found.state == {}


@pytest.mark.parametrize("kind", ["ridge", "softmax"])
def test_a_classifier_of_everything_is_the_solved_one(task: Task, kind: str) -> None:
    head = solve_frozen(task, replace(RIDGE, how=Frozen(kind, 0.5)))
    X, y = task.matrix("tiny", (3,), "mean"), task.y
    strength = 0.5 * decompose(X).unit / len(y)
    expected = solve_ridge(X, y, 3, 0.5) if kind == "ridge" else solve_head(kind, X, y, 3, strength)
    np.testing.assert_allclose(head.scores(X), expected.scores(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_views_are_in_the_fold_of_their_picture(task: Task, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    asked: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    stacked, ridge, solved = module._stacked, module.ridge_path, module.solve_path
    matrices: list[np.ndarray] = []

    def record_features(*args: Any) -> np.ndarray:
        matrices.append(stacked(*args))
        return matrices[-1]

    def record_ridge(problem: Problem, **more: Any) -> Any:
        asked.append((matrices[-1], problem.y, problem.folds))
        return ridge(problem, **more)

    def record(kind: str, problem: Problem, *args: Any, **more: Any) -> Any:
        asked.append((matrices[-1], problem.y, problem.folds))
        return solved(kind, problem, *args, **more)

    monkeypatch.setattr(module, "_stacked", record_features)
    monkeypatch.setattr(module, "ridge_path", record_ridge)
    monkeypatch.setattr(module, "solve_path", record)
    score_frozen(task, with_views(replace(RIDGE, how=Frozen(kind, 0.5)), "flips+zoom"))
    ((X, y, folds),) = asked
    n = task.sample.n
    assert len(X) == 4 * n
    for number, view in enumerate(("plain", "hflip", "vflip", "zoom")):
        part = slice(number * n, (number + 1) * n)
        np.testing.assert_array_equal(X[part], task.matrix("tiny", (3,), "mean", view))
        np.testing.assert_array_equal(y[part], task.y)
        np.testing.assert_array_equal(folds[part], task.sample.folds)


def test_a_source_is_decomposed_once_and_a_head_solved_once(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    decomposed: list[Any] = []
    monkeypatch.setattr(module, "decompose", lambda *args: decomposed.append(args) or decompose(*args))
    soft = replace(SOFTMAX, how=Frozen("softmax", 0.5))
    first, again, other = (
        score_frozen(task, replace(soft, how=how)) for how in (soft.how, soft.how, Frozen("linear_svm", 0.1))
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    assert not np.array_equal(first.scores, other.scores)
    head = solve_frozen(task, soft)
    assert len(decomposed) == 1
    assert solve_frozen(task, soft) is head
    score_frozen(task, with_views(soft, "flips"))
    assert len(decomposed) == 2  # other features


def test_a_head_is_solved_again_for_other_labels(task: Task) -> None:
    before = solve_frozen(task, SOFTMAX)
    task = replace(task, sample=replace(task.sample, y=(task.y + 1) % 3))
    assert not np.allclose(solve_frozen(task, SOFTMAX).weight, before.weight)


def test_a_trial_that_takes_too_much_is_not_begun(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [with_views(replace(SOFTMAX, how=Frozen(kind, 0.5)), "flips+zoom") for kind in CLASSIFIERS]
    assert [too_much(task, c) for c in [*every, TUNED]] == [None] * 5
    monkeypatch.setattr(effort, "MOST", Effort(1.0, 1e9))
    assert too_much(task, TUNED) is None
    for configuration in every:
        assert re.fullmatch(
            r"solving it takes \d\.\de\+\d\d operations and 0\.0 GB, too much for a trial",
            too_much(task, configuration),
        )


@pytest.mark.parametrize("kind", ["ridge", "softmax"])
def test_nothing_is_learned_by_heart_from_another_view(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Pictures of noise that look the same in every view: whoever has seen one of them knows its class."""
    for number in range(40):
        corner = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        half = np.concatenate([corner, corner[:, ::-1]], axis=1)
        whole = np.concatenate([half, half[::-1]], axis=0).repeat(4, axis=0).repeat(4, axis=1)
        file = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(whole).save(file)
    task = tiny_task(monkeypatch, tmp_path / "pictures", tmp_path / "scratch", allowed_views=EVERY_VIEW)
    penalty = 1e-4 if kind == "ridge" else 1e-3
    source = replace(SOFTMAX, cuts=(1, 2, 3), how=Frozen(kind, penalty))
    head = solve_frozen(task, with_views(source, "flips"))
    X = task.matrix("tiny", (1, 2, 3), "mean+std")
    assert (head.predict(X) == task.y).mean() > 0.95  # it can learn them by heart
    assert score_frozen(task, with_views(source, "flips")).value < 0.75
    assert score_frozen(task, source).value < 0.75


def test_the_same_picture_several_times_changes_nothing(task: Task) -> None:
    """Where views are copies a penalty means what it means without them."""
    plain = task.features["tiny"]
    task.computed.views.update({("tiny", view): plain for view in EVERY_VIEW})
    for kind in CLASSIFIERS:
        alone, copied = (
            score_frozen(task, with_views(replace(RIDGE, how=Frozen(kind, 0.3)), views)).scores
            for views in ("plain", "flips+zoom")
        )
        np.testing.assert_allclose(copied, alone, rtol=2e-2, atol=2e-2)
        alone, copied = (
            solve_frozen(task, with_views(replace(RIDGE, how=Frozen(kind, 0.3)), views)).scores(plain.matrix((3,)))
            for views in ("plain", "flips+zoom")
        )
        np.testing.assert_allclose(copied, alone, rtol=2e-2, atol=2e-2)


def test_a_view_that_changes_the_label_is_not_looked_at(task: Task) -> None:
    task = replace(task, allowed_views=frozenset({"zoom"}))
    assert task.views("flips") == ()
    assert task.views("flips+zoom") == ("zoom",)
    np.testing.assert_array_equal(
        score_frozen(task, with_views(RIDGE, "flips")).scores, score_frozen(task, RIDGE).scores
    )


def test_balanced_classes_weigh_the_same(task: Task) -> None:
    plain = replace(RIDGE, how=Frozen("softmax", 5.0))
    scores = [score_frozen(task, replace(plain, balanced=balanced)).scores for balanced in (False, True)]
    assert not np.allclose(scores[0], scores[1], atol=1e-3)
    rare = int(np.bincount(task.y).argmin())
    margins = [s[:, rare] - s.mean(1) for s in scores]
    assert margins[1].mean() > margins[0].mean()


def test_something_can_be_solved_at_once(task: Task) -> None:
    configuration, head = first_model(task, "tiny")
    assert configuration == RIDGE
    assert head.n_classes == 3
    assert (head.predict(task.matrix("tiny", (3,), "mean")) == task.y).mean() > 0.6


@pytest.mark.parametrize("configuration", [RIDGE, SOFTMAX])
def test_one_that_needs_more_memory_than_is_allowed_is_not_solved(task: Task, configuration: Configuration) -> None:
    with pytest.raises(AutomlTlError, match=r"it would use .* GB of memory, more than the 0\.0 GB allowed"):
        score_frozen(task, configuration, max_memory=1000)
    score_frozen(task, configuration, max_memory=10**12)
