"""What a search teaches about other data sets: what its trained strategies gained over frozen features."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from automl_tl.data.names import printable
from automl_tl.errors import OptionError
from automl_tl.foreign import is_a
from automl_tl.lab.calibration import OwnRun
from automl_tl.lab.own_runs import own_run
from automl_tl.lab.recommended import frozen
from automl_tl.learning.estimate import paired_gain
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.frozen import score_frozen
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import optimism_on
from automl_tl.strategies import Strategy

FILE = "experience.json"


def keep_experience(loop: Loop) -> None:
    """Write down what the trained strategies gained, if any was tried."""
    found = experience(loop)
    if found.gains:
        loop.session.folder.write_json(FILE, asdict(found))


def experience(loop: Loop) -> OwnRun:
    """Return what the trained strategies gained.

    A strategy speaks by its first trial that no clock has cut short, which nothing of these pictures has chosen: the
    best of many would promise too much; where there was time it went round few pictures more often than those of the
    panel (`openings.LONG_SHARE`), for some point more. Its accuracy on all pictures is that of the best frozen
    candidate plus the difference of the two where both were scored, in which the luck that has chosen that candidate
    cancels out. The feature extractor stands with its own cross-validation, less the luck of having been chosen: what
    more pictures than a fold has would add, they would add to both.
    """
    lab, task, expectations = loop.session.lab, loop.task, loop.prepared.assessment.expectations
    reference = loop.candidates.reference.outcome
    best_frozen, base = accuracy_on(task, reference), late_accuracy(loop)
    gains: dict[Strategy, tuple[float, float]] = {}
    for outcome in sorted(loop.candidates.outcomes, key=lambda one: one.number):
        strategy, rows = outcome.configuration.strategy, outcome.rows
        if _is_whole(outcome) and strategy not in gains:
            theirs, ours = reference.on(rows).argmax(1) == task.y[rows], outcome.predictions == task.y[rows]
            gain, stderr = paired_gain(theirs, ours, task.sample.groups[rows])
            gains[strategy] = float(np.clip(best_frozen + gain - base, -1.0, 1.0)), min(stderr, 1.0)
    name = Path(lab.path).name or lab.path
    backbone = loop.prepared.assessment.evidence.backbone
    return OwnRun(name, lab.dataset.fingerprint, backbone, expectations.known, gains)


def late_accuracy(loop: Loop) -> float:
    """Return what the best feature extractor reaches out of fold on the trials' pictures, less the luck of its choice.

    Where another strategy is the reference, it is the one of the assessment, which may rest on fewer of them.
    """
    task, reference = loop.task, loop.candidates.reference
    if reference.outcome.configuration.strategy == "feature_extractor":
        return accuracy_on(task, reference.outcome) - reference.optimism
    found = loop.prepared.assessment
    late = frozen(found.expectations.candidates["feature_extractor"], task.features, task.sample.n)
    luck = max(found.expectations.estimates["feature_extractor"].optimism, 0.0)
    return accuracy_on(task, score_frozen(task, late)) - optimism_on(task.sample.n, luck, found.sample.n)


def accuracy_on(task: Task, outcome: Outcome) -> float:
    """Return the share of the pictures that a candidate was scored on of which it was right."""
    return float((outcome.predictions == task.y[outcome.rows]).mean())


def _is_whole(outcome: Outcome) -> bool:
    """Return whether a candidate was trained to the end of its schedule, on every fold that it was scored on."""
    if not outcome.configuration.is_trained:
        return False
    return outcome.epochs >= outcome.n_folds * outcome.configuration.tuned.all_epochs


def kept_experience(run: Path) -> OwnRun:
    """Return what a run folder keeps of what its search teaches.

    Raises:
        OptionError: it keeps nothing of the kind, or what cannot be read.
    """
    folder = RunFolder(run)
    if not folder.is_finished:
        raise OptionError(f"'{printable(run)}' holds no search that has ended: name the --out folder of one that has")
    if folder.is_of_train:
        raise OptionError(f"'{printable(run)}' holds a run of train, which compares nothing: name that of a search")
    try:
        values = folder.read_json(FILE)
        found = None if values is None else own_run(is_a(values, dict))
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError(f"'{printable(run / FILE)}' is damaged: {printable(str(error))}") from error
    if found is None or not found.gains:
        raise OptionError(
            f"in the search of '{printable(run)}' no training came to its end, so there is nothing to learn from it: "
            "give the search a longer --budget, and go on with it by --resume"
        )
    return found
