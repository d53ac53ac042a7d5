"""The estimator: what it learns from paths, what it keeps, and scikit-learn's own checks."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.utils.estimator_checks as checks
from generated_pictures import picture, write_pictures
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tiny_models import tiny_alone

import automl_tl
from automl_tl.errors import AutomlTlError, OptionError, PictureError
from automl_tl.searcher import estimator as classifier
from automl_tl.searcher.estimator import ArrayError, TransferClassifier

OWN_CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_supervised_y_no_nan",
    "check_classifiers_regression_target",
    "check_requires_y_none",
    "check_decision_proba_consistency",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
)
"""Of scikit-learn's checks those that make sense for pictures.

The others call `fit` with numbers and expect it to work, or a message about them (complex, sparse, infinite), where
paths of pictures are needed; scikit-learn leaves them out itself for an estimator whose tags say so. What they check is
checked here on pictures: `test_what_is_learned`, `test_parameters_are_left_alone`, `test_pickled_it_is_the_same`,
`test_the_order_of_the_pictures_does_not_matter`, `test_a_second_fit_gives_the_same`.
"""


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    root = write_pictures(tmp_path_factory.mktemp("pictures"), per_class=8)
    return np.array(sorted(map(str, root.rglob("*.png"))))


@pytest.fixture(scope="module")
def years(paths: np.ndarray) -> np.ndarray:
    """Labels whose order as people count and as text differ."""
    return np.repeat(["n9", "n10", "n100"], 8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fitted(paths: np.ndarray, years: np.ndarray, cache: Path) -> TransferClassifier:
    return TransferClassifier(trials=1, cache_dir=cache).fit(paths, years)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("name", OWN_CHECKS)
def test_a_check_of_scikit_learn(name: str) -> None:
    getattr(checks, name)("TransferClassifier", TransferClassifier())


def test_scikit_learn_itself_asks_for_no_numbers() -> None:
    with pytest.warns(checks.SkipTestWarning, match="one_d_array=True"):
        asked = list(checks.estimator_checks_generator(TransferClassifier()))
    assert len(asked) == 1


def test_what_is_learned(fitted: TransferClassifier, paths: np.ndarray, years: np.ndarray) -> None:
    assert fitted.classes_.tolist() == ["n10", "n100", "n9"]
    assert fitted.classes_.dtype == years.dtype
    assert fitted.n_features_in_ == 1
    assert fitted.model_.classes == ("n9", "n10", "n100")
    assert isinstance(fitted.result_, automl_tl.SearchResult)
    predicted = fitted.predict(paths)
    assert predicted.dtype == years.dtype
    assert fitted.score(paths, years) == (predicted == years).mean() >= 0.9


def test_probabilities_are_in_the_order_of_the_classes(fitted: TransferClassifier, paths: np.ndarray) -> None:
    probabilities = fitted.predict_proba(paths)
    assert probabilities.shape == (24, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    own = fitted.model_.probabilities([Path(path) for path in paths])
    assert probabilities == pytest.approx(own[:, [1, 2, 0]])


@pytest.mark.parametrize(
    "shape",
    [
        lambda X: list(X),
        lambda X: [Path(path) for path in X],
        lambda X: X[:, None],
        lambda X: pd.Series(X),
        lambda X: pd.DataFrame({"path": X}),
    ],
)
def test_paths_come_in_many_shapes(fitted: TransferClassifier, paths: np.ndarray, shape: Any) -> None:
    some = paths[[0, 9, 23]]
    assert fitted.predict_proba(shape(some)) == pytest.approx(fitted.predict_proba(some))


def test_relative_paths_start_at_the_working_folder(
    fitted: TransferClassifier, paths: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(paths[0])
    monkeypatch.chdir(first.parent)
    assert fitted.predict([first.name]) == fitted.predict([first])


def test_the_order_of_the_pictures_does_not_matter(fitted: TransferClassifier, paths: np.ndarray) -> None:
    assert fitted.predict_proba(paths[::-1]) == pytest.approx(fitted.predict_proba(paths)[::-1], abs=1e-6)
    assert fitted.predict_proba(paths[:3]) == pytest.approx(fitted.predict_proba(paths)[:3], abs=1e-6)


def test_a_second_fit_gives_the_same(
    fitted: TransferClassifier, paths: np.ndarray, years: np.ndarray, cache: Path
) -> None:
    again = clone(fitted).fit(paths, years)
    assert again.predict_proba(paths) == pytest.approx(fitted.predict_proba(paths), abs=1e-6)


def test_parameters_are_left_alone(fitted: TransferClassifier, cache: Path) -> None:
    assert fitted.get_params() == TransferClassifier(trials=1, cache_dir=cache).get_params()


def test_pickled_it_is_the_same(fitted: TransferClassifier, paths: np.ndarray) -> None:
    content = pickle.dumps(fitted)
    assert len(content) < 200_000  # the bundle, and none of what the search kept
    again = pickle.loads(content)
    assert again.predict_proba(paths) == pytest.approx(fitted.predict_proba(paths), abs=1e-6)
    assert again.get_params() == fitted.get_params()
    assert not hasattr(again, "result_")
    assert pickle.loads(pickle.dumps(TransferClassifier(budget=20))).budget == 20


def test_not_fitted() -> None:
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(TransferClassifier(), method)(["a.png"])
    with pytest.raises(NotFittedError):
        TransferClassifier().score(["a.png"], [1])


def test_an_unreadable_picture_is_named(fitted: TransferClassifier, paths: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "bad\x1b.png").write_bytes(b"x")
    with pytest.raises(PictureError, match=r"2 pictures of 3 cannot be read, '.*bad\\x1b.png' for example: not a pict"):
        fitted.predict([tmp_path / "bad\x1b.png", paths[0], tmp_path / "none.png"])


# --- what reaches the search, and what is refused: with a search that is not run ---------------------


class ReachedError(Exception):
    """The search was called."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def search(table: pd.DataFrame, **options: Any) -> None:
        seen.update(options, table=table)
        raise ReachedError

    monkeypatch.setattr(classifier, "search", search)
    return seen


def fit(asked: dict[str, Any], X: Any, y: Any, groups: Any = None, **parameters: Any) -> pd.DataFrame:
    with pytest.raises(ReachedError):
        TransferClassifier(**parameters).fit(X, y, groups=groups)
    table: pd.DataFrame = asked["table"]
    return table


def test_every_parameter_reaches_the_search(asked: dict[str, Any], paths: np.ndarray, tmp_path: Path) -> None:
    fit(
        asked, paths[[0, 8]], [0, 1], budget=60, trials=3, backbones=["tiny"], strategies=["fine_tuning"],
        metric="macro_f1", device="cpu", max_memory=10**9, max_latency_ms=5, max_params=10**6, random_state=7,
        cache_dir=tmp_path, weights={}, mean=(0, 0, 0), std=(1, 1, 1), input_size=64, out=tmp_path / "run",
        batch_size=8, workers=3,
    )  # fmt: skip
    assert asked.pop("table") is not None
    assert asked == {
        "budget": 60, "trials": 3, "backbones": ["tiny"], "strategies": ["fine_tuning"], "metric": "macro_f1",
        "device": "cpu", "max_memory": 10**9, "max_latency_ms": 5, "max_params": 10**6, "seed": 7,
        "cache_dir": tmp_path, "weights": {}, "mean": (0, 0, 0), "std": (1, 1, 1), "input_size": 64,
        "out": tmp_path / "run", "batch_size": 8, "workers": 3,
    }  # fmt: skip


def test_the_seed_of_a_random_state(asked: dict[str, Any], paths: np.ndarray) -> None:
    seeds = []
    for state in (np.random.RandomState(3), np.random.RandomState(3), None):
        fit(asked, paths[[0, 8]], [0, 1], random_state=state)
        seeds.append(asked["seed"])
    assert seeds[0] == seeds[1]
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ([True, False], ["True", "False"]),
        (["NA", 'a,\n"b"'], ["NA", 'a,\n"b"']),
        (np.array(["x", "y"], dtype=object), ["x", "y"]),
        (pd.Series([1, 2]), ["1", "2"]),
        ([1.0, 2.0], ["1.0", "2.0"]),
    ],
)
def test_labels_keep_their_text(asked: dict[str, Any], paths: np.ndarray, labels: Any, texts: list[str]) -> None:
    table = fit(asked, paths[[0, 8]], labels)
    assert table["label"].tolist() == texts
    assert table["path"].tolist() == paths[[0, 8]].tolist()


def test_groups_are_a_column(asked: dict[str, Any], paths: np.ndarray) -> None:
    table = fit(asked, paths[[0, 1, 2, 8]], [0, 0, 0, 1], groups=[5, None, float("nan"), "b"])
    assert table["group"].tolist() == ["5", "", "", "b"]


@pytest.mark.parametrize(
    ("X", "y", "sentence"),
    [
        ("PATH", [1], "a single path: put it into a list"),
        (".", [1], "a single path: give a list of its files with their labels, or call automl_tl.search"),
        (np.zeros((2, 8, 8, 3)), [0, 1], r"its shape is \(2, 8, 8, 3\) of float64"),
        (np.zeros((2, 8, 8), np.uint8), [0, 1], r"its shape is \(2, 8, 8\) of uint8"),
        ([], [], "shape"),
        ([[1.0, 2.0]], [1], r"its shape is \(1, 2\)"),
        ([["PATH", "PATH"], ["PATH", "PATH"]], [0, 1], r"its shape is \(2, 2\)"),
        ([1, 2], [0, 1], "holds a int"),
        ([None, "PATH"], [0, 1], "holds a NoneType"),
        (["PATH", "no/such.png"], [0, 1], "1 of the 2 paths in X are no files"),
        (["PATH", "PATH"], [0, 0], "two classes or more"),
        (["PATH", "PATH"], ["a", "a "], "rename it"),
        (["PATH", "PATH"], ["a", ""], "rename it"),
        (["PATH", "PATH"], [0.5, 1.5], "continuous"),
        (["PATH", "PATH"], [0], "inconsistent"),
        (["PATH", "PATH"], [0, float("nan")], r"1 of the 2 labels in y are missing \(NaN or None\)"),
        (["PATH", "PATH"], ["hat", float("nan")], "1 of the 2 labels in y are missing"),
        (["PATH", "PATH", "PATH"], ["hat", None, pd.NA], "2 of the 3 labels in y are missing"),
        (["PATH", "PATH"], pd.Series(["hat", pd.NA], dtype="string"), "1 of the 2 labels in y are missing"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], paths: np.ndarray, X: Any, y: Any, sentence: str) -> None:
    def there(one: Any) -> Any:
        return (
            [there(o) for o in one]
            if isinstance(one, list)
            else paths[0]
            if isinstance(one, str) and one == "PATH"
            else one
        )

    with pytest.raises(ValueError, match=sentence):
        TransferClassifier().fit(there(X), y)
    assert not asked


def test_its_error_is_one_of_ours_and_a_value_error() -> None:
    assert issubclass(ArrayError, AutomlTlError)
    assert issubclass(ArrayError, ValueError)


# --- the whole way, once more ------------------------------------------------------------------------


def test_bad_and_repeated_pictures_are_left_out_with_a_warning(tmp_path: Path, cache: Path) -> None:
    root = write_pictures(tmp_path / "p", classes=("a", "b"), per_class=8)
    X = sorted(root.rglob("*.png"))
    (root / "bad.png").write_bytes(b"x")
    picture(3, 5).save(root / "torn.png")
    X += [root / "bad.png", X[0], root / "torn.png", root / "torn.png"]
    y = [path.parent.name == "b" for path in X[:16]] + [True, False, True, False]
    out = tmp_path / "run"
    with pytest.warns(UserWarning, match="2 pictures of 18 left out of training"):
        model = TransferClassifier(trials=1, cache_dir=cache, out=out).fit(X, y)
    assert model.classes_.dtype == bool
    assert model.predict(X[:2]).dtype == bool
    assert model.result_.report.n_images == 16
    assert (out / "bundle" / "bundle.json").is_file()
    with pytest.raises(OptionError, match="holds a run already"):
        model.fit(X[:16], y[:16])


def test_arrays_and_pictures_of_pillow_are_learned_from(paths: np.ndarray, years: np.ndarray, cache: Path) -> None:
    images = [Image.open(path) for path in paths]
    array = np.stack([np.array(one) for one in images])
    models = [TransferClassifier(trials=1, cache_dir=cache).fit(X, years) for X in (array, images)]
    for X in (array, images, paths):
        assert np.array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    np.testing.assert_allclose(models[0].predict_proba(array), models[0].predict_proba(paths), atol=1e-6)
    assert models[0].score(paths, years) == 1


def test_logarithms_of_probabilities(fitted: TransferClassifier, paths: np.ndarray) -> None:
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(paths[:3])), fitted.predict_proba(paths[:3]))


def test_the_paths_of_the_result_are_there_as_long_as_the_estimator(fitted: TransferClassifier) -> None:
    bundle = fitted.result_.bundle
    assert automl_tl.load(bundle).classes == fitted.model_.classes
    assert fitted.result_.leaderboard.is_file()
    assert not hasattr(pickle.loads(pickle.dumps(fitted)), "_folder")


def test_a_duration_and_a_name_may_be_text(asked: dict[str, Any], paths: np.ndarray) -> None:
    fit(asked, paths[[0, 8]], [0, 1], budget="30s", backbones="tiny")
    assert (asked["budget"], asked["backbones"]) == ("30s", "tiny")
