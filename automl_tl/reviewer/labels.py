"""From a folder of labelled pictures to those whose labels are likely wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_tl.data.forms.memory import Data
from automl_tl.data.names import printable
from automl_tl.errors import DataError
from automl_tl.features.extract import Features
from automl_tl.lab.evidence import Candidate, screen
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.lab.recommended import frozen
from automl_tl.lab.sample import Sample, draw_sample
from automl_tl.learning.classifiers import HEAD_L2
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.label_errors import likely_errors
from automl_tl.model.evaluation import Evaluation, evaluate_probabilities
from automl_tl.options import LabelOptions, takes
from automl_tl.reviewer.label_report import LabelReport
from automl_tl.searcher.delivery.ensemble import calibrated_probabilities
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.frozen import score_frozen
from automl_tl.searcher.trials.observer import Observer
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference
from automl_tl.searcher.trials.trained import score_trained
from automl_tl.torch_state import usual_state

MOST_FOLDS, TRAINED_FOLDS = 10, 5
"""Folds of frozen classifiers, which are solved for all folds at once, and where something is trained. On 5% planted
errors in three data sets of 400 pictures, ten folds had an average precision of .91, five .89."""


@takes(LabelOptions)
@usual_state()
def labels(data: Data, options: LabelOptions) -> LabelReport:
    """Find the pictures whose labels are likely wrong: other pictures of the data set say that they are another class.

    The best frozen features of every backbone get a linear classifier each, which judges pictures that it has not
    learned from; their calibrated probabilities are averaged (`likely_errors` says what is made of them). Every part of
    a split is looked at: nothing is chosen here that a test would have to judge.

    Args:
        data: what `recommend` takes: a folder, a table, an archive, or pictures in memory.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    further = further_voters(options.run)
    return labels_in(open_lab(data, options), further)


def further_voters(run: str | Path | None) -> tuple[Configuration, ...]:
    """Return what the model of a run consists of, none without a run; raises OptionError where it is not finished."""
    return () if run is None else tuple(map(_plain, RunFolder(Path(run)).delivered()))


def _plain(one: Configuration) -> Configuration:
    """Return a frozen configuration without further views of every picture: whoever judges sees it as it is."""
    return one if one.is_trained else replace(one, how=replace(one.frozen, views="plain"))


def labels_in(lab: Lab, further: Sequence[Configuration] = ()) -> LabelReport:
    """Return the report on the labels of the laboratory's data set; `further` configurations vote as well."""
    whole = lab.dataset.with_frame(lab.dataset.frame.assign(split="train"))  # whatever part of a split they are in
    with lab.clock("features"):
        lab = with_best_fit(replace(lab, dataset=whole))
    most_folds = TRAINED_FOLDS if any(one.is_trained for one in further) else MOST_FOLDS
    sample = draw_sample(whole, len(whole), lab.seed, most_folds=most_folds)
    names = dict.fromkeys((*lab.backbones, *(one.backbone for one in further)))
    with lab.clock("features"):
        features, lost = extract_all(lab, tuple(names), sample.pictures)
    known = (one for one in further if one.backbone in features)
    voters = tuple(dict.fromkeys((*_frozen_voters(lab, sample, features), *known)))  # each has one voice
    evaluation = _evaluation(lab, sample, _probabilities(lab, sample, features, voters))
    return LabelReport(
        path=lab.path,
        quality=lab.report,
        voters=voters,
        n_folds=len(np.unique(sample.folds)),
        evaluation=evaluation,
        suspects=evaluation.answers(likely_errors(evaluation.y, evaluation.probabilities)),
        seconds=lab.clock.seconds,
        notes=(*lab.notes, *lost, *_unjudged(sample)),
    )


def _frozen_voters(lab: Lab, sample: Sample, features: Mapping[str, Features]) -> list[Configuration]:
    """Return the best screened source of each backbone with its classifier."""
    best: dict[str, Candidate] = {}
    with lab.clock("evidence"), lab.monitor.activity("Screening feature sources") as update:
        for candidate in screen(lab, features, sample, update):  # the best first
            best.setdefault(candidate.backbone, candidate)
    return [frozen(candidate, features, sample.n) for candidate in best.values()]


def _probabilities(
    lab: Lab, sample: Sample, features: Mapping[str, Features], voters: Sequence[Configuration]
) -> np.ndarray:
    """Return the mean of the voters' calibrated out-of-fold probabilities, float64 (n, C)."""
    outcomes: list[Outcome] = []
    with lab.clock("voting"), tempfile.TemporaryDirectory() as scratch:
        task = Task(
            lab.networks, sample, lab.report.fit, lab.metric, lab.seed, Path(scratch), features,
            n_folds=len(np.unique(sample.folds)),
        )  # fmt: skip
        for voter in voters:
            with lab.monitor.activity(f"Judging by {voter.describe()}"):
                outcomes.append(_judged(lab, task, voter, outcomes))
    total = np.zeros((sample.n, len(sample.classes)))
    for one in outcomes:  # one after the other: of a thousand classes each is large
        total += calibrated_probabilities(task, one, task.everything) / len(outcomes)
    return total


def _judged(lab: Lab, task: Task, voter: Configuration, before: Sequence[Outcome]) -> Outcome:
    """Return a voter's out-of-fold scores of every picture; the first voter is frozen."""
    if not voter.is_trained:
        return lab.executor.submit(score_frozen, task, voter).result()
    return score_trained(
        task, voter, Reference(before[0], HEAD_L2), lab.executor, observer=Observer(watch=lab.monitor.learned)
    )


def _evaluation(lab: Lab, sample: Sample, probabilities: np.ndarray) -> Evaluation:
    """Return what the voters are worth on the pictures of classes that can be judged."""
    rows = np.flatnonzero(~np.isin(sample.y, [sample.classes.index(label) for label in sample.lonely_classes]))
    if not len(rows):
        raise DataError(
            f"No label of '{printable(lab.path)}' can be judged, since the pictures of each class are all of one group "
            "or copies of one another: give more of each."
        )
    found = evaluate_probabilities(sample.y[rows], probabilities[rows], sample.classes)
    return replace(found, paths=tuple(sample.pictures[row].path for row in rows))


def _unjudged(sample: Sample) -> tuple[str, ...]:
    lonely = sample.lonely_classes
    if not lonely:
        return ()
    named = ", ".join(f"'{printable(label)}'" for label in lonely[:3]) + (", ..." if len(lonely) > 3 else "")
    return (
        f"The labels of {named} ({len(lonely)} of {len(sample.classes)} classes) were not judged: all pictures of such "
        "a class are of one group, or copies of one another, so whoever has not learned from one does not know it.",
    )
