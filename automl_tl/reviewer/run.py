"""A run as it lies in its folder, finished or not, of `search` or of `train`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from automl_tl.cache_dir import cache_dir, is_marked
from automl_tl.data.address import is_address
from automl_tl.data.dataset import ImageDataset, open_dataset
from automl_tl.data.names import printable
from automl_tl.data.quality import QualityReport, scan
from automl_tl.data.split import assign_splits
from automl_tl.errors import AutomlTlError, DataError, OptionError
from automl_tl.foreign import fault
from automl_tl.lab.findings import Findings
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.scores import get_metric
from automl_tl.model.checking import read_manifest
from automl_tl.model.evaluation import Evaluation
from automl_tl.model.manifest import Manifest
from automl_tl.monitor import Epoch, Progress
from automl_tl.reviewer.parameters import TrainingReview, review_parameters
from automl_tl.searcher.record import (
    TEST,
    VALIDATION,
    Doubts,
    RunOrigin,
    kept_evaluation,
    kept_findings,
    kept_origin,
)
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.summary import SearchSummary, TrainSummary
from automl_tl.searcher.trials.journal import read_trials
from automl_tl.searcher.trials.leaderboard import leaderboard
from automl_tl.wording import clean


@dataclass(frozen=True, eq=False)
class Run:
    """What the folder of a run holds; what an older or an interrupted run lacks is None or empty."""

    folder: Path
    is_training: bool
    """Of `train`; else of `search`."""
    metric: str
    fingerprint: str
    """Of the data set."""
    origin: RunOrigin | None
    findings: Findings | None
    doubts: Doubts | None
    summary: SearchSummary | TrainSummary | None
    """None where it was not finished."""
    validation: Evaluation | None
    """Of a training; of a search, by its delivered candidates on pictures that none of them had learned from."""
    test: Evaluation | None
    table: pd.DataFrame
    """The leaderboard of a search."""
    parameters: tuple[TrainingReview, ...]
    """What the trials of a search say."""
    histories: Mapping[int, tuple[Configuration, tuple[Epoch, ...]]]
    """What was trained, and the epochs of its first fold, by number of the trial."""
    manifest: Manifest | None
    """Of the model, as good as it is so far."""

    @property
    def path(self) -> str:
        """The data set as the user named it, else the run."""
        return str(self.folder) if self.origin is None else self.origin.path


def open_run(path: str | Path) -> Run:
    """Return the run in a folder.

    Raises:
        OptionError: there is none, or it is damaged.
    """
    folder = RunFolder(Path(path))
    asked = folder.read_json("run.json")
    if asked is None:
        raise OptionError(
            f"'{printable(folder.path)}' holds no run; give the --out folder of automl-tl search or train"
        )
    try:
        return _read(folder, asked)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise OptionError(
            f"the run in '{printable(folder.path)}' is damaged and cannot be shown ({clean(fault(error))})"
        ) from error


def _read(folder: RunFolder, asked: Mapping[str, Any]) -> Run:
    origin, (found, doubted) = kept_origin(folder), kept_findings(folder)
    result, test = folder.read_json("result.json") or {}, kept_evaluation(folder, TEST)
    metric = get_metric(asked.get("metric") or result.get("metric") or "accuracy")
    trials = read_trials(folder.journal)
    return Run(
        folder=folder.path,
        is_training=asked.get("command") == "train",
        metric=metric.name,
        fingerprint=str(asked.get("fingerprint", "")),
        origin=origin,
        findings=found,
        doubts=doubted,
        summary=_summary(result, folder.path, found, test),
        validation=kept_evaluation(folder, VALIDATION),
        test=test,
        table=leaderboard(trials, metric.name, greater_is_better=metric.greater_is_better),
        parameters=review_parameters(trials, greater_is_better=metric.greater_is_better),
        histories=folder.histories(),
        manifest=_manifest(folder.bundle),
    )


def pictures_of(run: Run, progress: Progress | None = None) -> tuple[ImageDataset, QualityReport]:
    """Return the data set that a run was about, scanned and as it is given; a scan that is kept opens no picture.

    Raises:
        DataError: it is not known where the pictures lie, they cannot be read any more, or they have changed; or they
            lie in an object store, which a run folder that may come from elsewhere is no reason to ask.
    """
    origin = run.origin
    if origin is None:
        raise DataError("The run was made by an earlier version, which did not keep where the pictures lie.")
    for place in (origin.place, origin.reading.get("image_root") or ""):
        if is_address(place):
            raise DataError(f"The pictures lie at '{printable(str(place))}', which a page does not open by itself.")
    try:
        listed = open_dataset(origin.place, **origin.reading)
    except TypeError:
        raise DataError("What the run keeps of where its pictures lie is damaged.") from None
    scanned, report = scan(listed, cache_dir=_cache_of(origin), progress=progress)
    if assign_splits(scanned, origin.seed, drop_leaks=origin.drop_leaks).fingerprint != run.fingerprint:
        raise DataError(f"The pictures in '{printable(origin.place)}' have changed since the run.")
    return scanned, _as_seen(run, report)


def _as_seen(run: Run, report: QualityReport) -> QualityReport:
    """Return the report with how pictures become square in the run, where that is known, else as their sizes say."""
    with suppress(OptionError):  # a page is made of what is whole
        if (kept := RunFolder(run.folder).fit) is not None:
            return replace(report, fit=kept[0], fit_reason=kept[1])
    if run.manifest is None or run.manifest.fit == report.fit:
        return report
    return replace(report, fit=run.manifest.fit, fit_reason="as its model has learned them")


def _cache_of(origin: RunOrigin) -> Path:
    """Return the cache that the run used where it is one, else the user's: nothing is made elsewhere."""
    own = Path(origin.cache_dir)
    return own if is_marked(own) else cache_dir()


def _summary(
    result: Mapping[str, Any], folder: Path, found: Findings | None, test: Evaluation | None
) -> SearchSummary | TrainSummary | None:
    constant = test.majority if test is not None else found.majority if found is not None else None
    try:
        if "members" in result:
            return SearchSummary.from_dict(result, folder, constant)
        return TrainSummary.from_dict(result, folder)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _manifest(bundle: Path) -> Manifest | None:
    try:
        return read_manifest(bundle)
    except (AutomlTlError, OSError):
        return None
