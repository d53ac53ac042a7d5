"""The search as an estimator of scikit-learn: pictures are paths of files, arrays, or Pillow's."""

from __future__ import annotations

import os
import tempfile
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from automl_tl.data.address import absolute
from automl_tl.data.names import printable
from automl_tl.data.source import File, Source, as_source
from automl_tl.errors import DataError, PictureError
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.inputs import Input
from automl_tl.model.model import Model
from automl_tl.model.predict import predict_inputs
from automl_tl.options import FitOptions, documented, option, takes
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.search import search
from automl_tl.wording import plural


class ArrayError(DataError, ValueError):
    """Paths or labels have no shape or kind that can be learned from; also a ValueError, as scikit-learn's are."""


@dataclass(frozen=True, kw_only=True)
class EstimatorOptions(FitOptions):
    """Every option of `TransferClassifier`."""

    random_state: int | np.random.RandomState | None = option(
        0, "an int from 0 to 2**32 - 1; a RandomState, or None for numpy's own, gives another seed every time."
    )
    out: str | Path | None = option(
        None,
        "folder of the run, a new one for every fit; default: a temporary one that lasts as long as the estimator.",
    )


class TransferClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Search, train and predict with scikit-learn's methods.

    Pictures are given as paths of their files, an array-like of str or Path of shape (n,) or (n, 1), relative ones from
    the working folder; as an array of uint8 (n, H, W, 3) in RGB; or as a sequence of such arrays or of pictures of
    Pillow. Fitted, it can be pickled and copied; what is kept is the model, as its bundle, and
    `result_` stays behind.

    Args:
        The options stay as they are given until a fit.

    Attributes:
        classes_: the labels, sorted, in the dtype in which they were given.
        n_features_in_: 1, the picture.
        model_: the trained `automl_tl.Model`; its own classes are the labels as text.
        result_: the `SearchResult`; without `out` its folder goes with this object.
    """

    @takes(EstimatorOptions)
    def __init__(self, options: EstimatorOptions) -> None:
        for one in fields(options):
            setattr(self, one.name, getattr(options, one.name))

    def fit(self, X: Any, y: Any, groups: Any = None) -> TransferClassifier:
        """Search for the best model and keep it.

        Args:
            X: n pictures. A path that is given twice counts once.
            y: array-like of labels, (n,): text, whole numbers or truth values.
            groups: array-like (n,): pictures of one group (a patient, a drawer) stay on one side of every split.

        Raises:
            ArrayError: X, y or groups cannot be used.
            AutomlTlError: whatever `automl_tl.search` raises.
        """
        if y is None:
            raise ArrayError("TransferClassifier requires y to be passed, but the target y is None")
        check_consistent_length(_column(X), y, groups)
        labels, classes = _labels(y)
        pictures = _existing(_pictures(X))
        folder = tempfile.TemporaryDirectory(prefix="automl-tl-")
        run = Path(folder.name) / "run" if self.out is None else Path(self.out)
        table = _table(pictures, labels, groups)
        result = search(table, out=run, seed=self._seed(), **self._options())
        self.model_: Model = load_bundle(result.bundle, self.device)
        self._folder = folder
        self.result_: SearchResult = result
        self.classes_ = classes
        self.n_features_in_ = 1
        _warn_of_lost(result, len({one.name for one in pictures}))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of pictures, float64 (n, C), in the order of `classes_`.

        Raises:
            NotFittedError: `fit` has not been called.
            PictureError: a picture cannot be read; the message names the first one.
        """
        check_is_fitted(self)
        inputs = tuple(Input(one.name, one) for one in _pictures(X))
        size = self.batch_size or self.model_.pictures_at_once
        answers = list(predict_inputs(self.model_, inputs, batch_size=size, threads=self.workers))
        bad = [answer for answer in answers if answer.error is not None]
        if bad:
            raise PictureError(
                f"{plural(len(bad), 'picture')} of {len(answers):,} cannot be read, '{printable(bad[0].path)}' for "
                f"example: {bad[0].error}; leave them out"
            )
        return self._in_order(np.array([answer.probabilities for answer in answers]))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`, -inf where a probability is zero."""
        with np.errstate(divide="ignore"):
            logarithms: np.ndarray = np.log(self.predict_proba(X))
        return logarithms

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each picture, (n,), in the dtype of `classes_`; see `predict_proba`."""
        probabilities = self.predict_proba(X)
        best: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return best

    def _in_order(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the model's columns in the order of `classes_`; a class without a usable picture has zeros."""
        column = {label: j for j, label in enumerate(self.model_.classes)}
        ordered = np.zeros((len(probabilities), len(self.classes_)))
        for j, label in enumerate(map(_text, self.classes_)):
            if label in column:
                ordered[:, j] = probabilities[:, column[label]]
        return ordered

    def _options(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.get_params(deep=False).items() if name not in ("random_state", "out")
        }

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("result_", None)
        state.pop("_folder", None)
        if "model_" in state:
            state["model_"] = _as_bytes(state["model_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(dict(state))
        if "model_" in state:
            self.model_ = _from_bytes(state["model_"], self.device)


TransferClassifier.__doc__ = documented(TransferClassifier.__doc__ or "", EstimatorOptions)


# --- what is given ----------------------------------------------------------------------------------


def _pictures(X: Any) -> list[Source]:
    """Return the sources of n pictures, files by their absolute paths; raises ArrayError where they are none."""
    pictures = list(_column(X))
    wrong = [one for one in pictures if not isinstance(one, str | os.PathLike | bytes | np.ndarray | Image.Image)]
    if wrong:
        raise ArrayError(
            f"X must hold pictures: paths (str or Path), uint8 arrays (H, W, 3) or Pillow's, but holds a "
            f"{type(wrong[0]).__name__}"
        )
    paths = (absolute(one) if isinstance(one, str | os.PathLike) else one for one in pictures)
    return [as_source(one, f"picture {number}") for number, one in enumerate(paths, start=1)]


def _column(X: Any) -> Sequence[Any]:
    """Return n objects of shape (n,) or (n, 1), or n arrays of pixels; raises ArrayError for anything else."""
    if isinstance(X, str | os.PathLike):
        folder = "give a list of its files with their labels, or call automl_tl.search with the folder"
        way_out = folder if os.path.isdir(X) else "put it into a list"
        raise ArrayError(f"X must be a list or an array of pictures, but is a single path: {way_out}")
    if isinstance(X, list | tuple) and any(isinstance(one, np.ndarray | Image.Image) for one in X):
        return X
    array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 4 and array.shape[3] == 3 and array.dtype == np.uint8 and len(array):
        return list(array)
    if array.ndim != 1 or not len(array):
        raise ArrayError(
            f"X must hold pictures, paths of shape (n,) or (n, 1) or pixels as uint8 (n, H, W, 3), but its shape is "
            f"{array.shape} of {array.dtype}"
        )
    return list(array)


def _existing(pictures: list[Source]) -> list[Source]:
    files = [one.name for one in pictures if isinstance(one, File)]
    missing = [path for path in files if not os.path.isfile(path)]
    if missing:
        raise ArrayError(
            f"{len(missing):,} of the {len(files):,} paths in X are no files, '{printable(missing[0])}' for example: "
            "relative paths start at the working folder"
        )
    return pictures


def _labels(y: Any) -> tuple[list[str], np.ndarray]:
    """Return the labels as text, n of them, and the classes in their own dtype, sorted."""
    given = column_or_1d(np.asarray(y, dtype=object))
    if missing := int(pd.isna(given).sum()):
        raise ArrayError(
            f"{missing:,} of the {len(given):,} labels in y are missing (NaN or None): leave these pictures out"
        )
    array = column_or_1d(np.asarray(y), warn=True)
    check_classification_targets(array)
    try:
        classes = np.unique(array)
    except TypeError as error:
        raise ArrayError(f"y must hold labels of one kind, but they cannot be compared ({error})") from None
    if len(classes) < 2:
        raise ArrayError(f"y must hold two classes or more, but holds {printable(str(classes.tolist()))}")
    texts = [_text(label) for label in classes]
    for text, label in zip(texts, classes, strict=True):
        if not text or texts.count(text) > 1:
            raise ArrayError(
                f"the label {label!r} is empty or, without the white space at its ends, another one's text: rename it"
            )
    return [_text(label) for label in array], classes


def _text(label: Any) -> str:
    """Return a label as a table gives it back."""
    return unicodedata.normalize("NFC", str(label).strip())


def _table(pictures: Sequence[Source], labels: Sequence[str], groups: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"label": labels})
    frame["path"] = pd.Series([one.name if isinstance(one, File) else one for one in pictures], dtype=object)
    if groups is not None:
        given = column_or_1d(np.asarray(groups, dtype=object))
        frame["group"] = ["" if pd.isna(group) else str(group) for group in given]
    return frame


def _warn_of_lost(result: SearchResult, n: int) -> None:
    lost = n - result.report.n_images
    if lost > 0:
        why = "they cannot be read, or identical ones have different labels; automl-tl inspect shows which"
        warnings.warn(f"{plural(lost, 'picture')} of {n:,} left out of training: {why}", stacklevel=3)


# --- pickling ---------------------------------------------------------------------------------------


def _as_bytes(model: Model) -> dict[str, bytes]:
    """Return the files of a model's bundle."""
    with tempfile.TemporaryDirectory(prefix="automl-tl-") as temporary:
        bundle = save_bundle(model, Path(temporary) / "bundle")
        return {file.name: file.read_bytes() for file in bundle.iterdir()}


def _from_bytes(files: Mapping[str, bytes], device: str) -> Model:
    with tempfile.TemporaryDirectory(prefix="automl-tl-") as temporary:
        bundle = Path(temporary) / "bundle"
        bundle.mkdir()
        for name, content in files.items():
            (bundle / name).write_bytes(content)
        return load_bundle(bundle, device)
