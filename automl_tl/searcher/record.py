"""What a run keeps of itself for whoever looks at it later: where it comes from, what was found, what was answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from automl_tl.data.address import absolute
from automl_tl.foreign import facts_of, is_a, listed, number, whole_number
from automl_tl.lab.findings import Findings, findings
from automl_tl.learning.label_errors import likely_errors
from automl_tl.memory import check_readable
from automl_tl.model.evaluation import Answer, Evaluation, evaluate_probabilities
from automl_tl.model.manifest import jsonable
from automl_tl.options import TableOptions, of_group
from automl_tl.output import whole
from automl_tl.searcher.delivery.ensemble import calibrated_probabilities, together
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.surroundings import Surroundings, surroundings

ORIGIN, FINDINGS = "origin.json", "findings.json"
VALIDATION, TEST = "validation", "test"
"""Names of evaluations."""
MOST_DOUBTED = 24
"""Answers that are kept of labels that are likely wrong."""
_FLOAT, _COPIES = 8, 6
"""Bytes of a number, and arrays of the size of all probabilities that an evaluation makes beside its confusion."""


@dataclass(frozen=True)
class RunOrigin:
    """What a run was begun with, as far as its options do not say."""

    path: str
    """The data set as the user named it."""
    place: str
    """The same, absolute."""
    reading: Mapping[str, Any]
    """Options by which the data set was read, as JSON values."""
    drop_leaks: bool
    cache_dir: str
    seed: int
    metric: str
    device: str
    command: str
    """As it was typed; "" where it was called from Python."""
    made: Surroundings

    @classmethod
    def of(cls, session: Session) -> RunOrigin:
        """Return the origin of a run that begins."""
        lab, options = session.lab, session.options
        reading = of_group(options, TableOptions)
        if reading["image_root"] is not None:
            reading["image_root"] = absolute(reading["image_root"])
        return cls(
            path=lab.path, place=absolute(lab.path), reading=jsonable(reading),
            drop_leaks=options.drop_leaks, cache_dir=str(lab.networks.cache), seed=lab.seed, metric=lab.metric.name,
            device=str(lab.engine.device), command=options.command, made=surroundings(),
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOrigin:
        """Return the origin that was kept; raises KeyError, TypeError or ValueError where it is none."""
        texts = {
            name: is_a(values[name], str) for name in ("path", "place", "cache_dir", "metric", "device", "command")
        }
        return cls(
            **texts, reading=is_a(values["reading"], dict), drop_leaks=is_a(values["drop_leaks"], bool),
            seed=whole_number(values["seed"], 0, 2**32 - 1), made=Surroundings(**values["made"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Doubts:
    """The training pictures' labels that are likely wrong, by candidates that had not learned from them."""

    judge: str
    """Who judged, in words."""
    n_judged: int
    n: int
    """Labels that are likely wrong."""
    answers: tuple[Answer, ...]
    """The least believed of them, the least believed first."""


def keep_origin(session: Session) -> None:
    """Write down where a run comes from; a resumed one keeps when and with what it was begun last."""
    session.folder.write_json(ORIGIN, asdict(RunOrigin.of(session)))


def keep_findings(session: Session, prepared: Prepared, delivered: Sequence[Outcome] = ()) -> None:
    """Write down what was found out before anything was trained, and which labels are doubted."""
    doubted = jsonable(asdict(doubts(prepared, delivered)))
    session.folder.write_json(FINDINGS, {"findings": findings(prepared.assessment).to_dict(), "doubts": doubted})


def doubts(prepared: Prepared, delivered: Sequence[Outcome] = ()) -> Doubts:
    """Return the labels that are likely wrong, by the best frozen candidate of the sweep and by what is delivered.

    Each picture is judged by the mean of the calibrated probabilities of those that were scored on it, which none of
    them has learned from: the frozen one on every picture, a trained one perhaps on its validation part alone.
    """
    task, first = prepared.task, prepared.sweep.reference.outcome
    judges = list({one.configuration: one for one in (first, *delivered)}.values())
    total, n = np.zeros((task.sample.n, task.n_classes)), np.zeros((task.sample.n, 1))
    for one in judges:
        total[one.rows] += calibrated_probabilities(task, one, one.rows)
        n[one.rows] += 1
    rows = np.flatnonzero(n)
    judged = answers_to(task, rows, total[rows] / n[rows])
    wrong = likely_errors(judged.y, judged.probabilities)
    named = " and by ".join(one.configuration.describe() for one in judges)
    return Doubts(named, judged.n, len(wrong), judged.answers(wrong[:MOST_DOUBTED]))


def answers_to(task: Task, rows: np.ndarray, probabilities: np.ndarray) -> Evaluation:
    """Return what probabilities, (m, C), say of some of the task's pictures, int (m,)."""
    found = evaluate_probabilities(task.y[rows], probabilities, task.sample.classes)
    return replace(found, paths=tuple(task.sample.pictures[row].path for row in rows))


def out_of_fold(task: Task, chosen: Sequence[Outcome], shares: Sequence[float]) -> Evaluation:
    """Return what chosen candidates, each with its share, said of the pictures that none of them had learned from."""
    as_one = together(task, chosen, shares)
    return answers_to(task, as_one.rows, np.exp(as_one.scores))


def keep_evaluation(folder: RunFolder, name: str, evaluation: Evaluation | None) -> None:
    """Write every answer of an evaluation; without one, an earlier session's goes."""
    file = folder.path / f"{name}.safetensors"
    if evaluation is None:
        file.unlink(missing_ok=True)
        return
    y: np.ndarray = evaluation.y.astype(np.int64)
    probabilities: np.ndarray = evaluation.probabilities.astype(np.float32)
    facts = {"classes": evaluation.classes, "paths": evaluation.paths}
    with whole(file) as new:
        new.write_bytes(save({"y": y, "probabilities": probabilities}, {"facts": json.dumps(facts)}))


def kept_evaluation(folder: RunFolder, name: str) -> Evaluation | None:
    """Return an evaluation that was kept, or None where it is missing or damaged.

    Raises:
        ShortageError: it is larger than the memory.
    """
    file = folder.path / f"{name}.safetensors"
    try:
        with safe_open(file, "numpy") as opened:
            facts = facts_of(opened.metadata())
            classes, paths = ([is_a(one, str) for one in listed(facts[what])] for what in ("classes", "paths"))
            (n,), shape = (opened.get_slice(what).get_shape() for what in ("y", "probabilities"))
            if shape != [n, len(classes)] or len(paths) not in (0, n):
                raise ValueError(f"{shape} of {n} pictures in {len(classes)} classes with {len(paths)} paths")
            check_readable(file, _FLOAT * len(classes) * (len(classes) + _COPIES * n))
            y, probabilities = opened.get_tensor("y"), opened.get_tensor("probabilities")
        return replace(evaluate_probabilities(y, probabilities, classes), paths=tuple(paths))
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None


def kept_origin(folder: RunFolder) -> RunOrigin | None:
    """Return where a run comes from, or None where that was not kept."""
    try:
        return RunOrigin.from_dict(folder.read_json(ORIGIN) or {})
    except (KeyError, TypeError, ValueError):
        return None


def kept_findings(folder: RunFolder) -> tuple[Findings | None, Doubts | None]:
    """Return what was found out before anything was trained, and the doubted labels; None where it was not kept."""
    kept = folder.read_json(FINDINGS) or {}
    try:
        doubted = kept["doubts"]
        answers = tuple(map(_answer, listed(doubted["answers"])))
        counts = {name: whole_number(doubted[name], 0) for name in ("n_judged", "n")}
        found = Doubts(is_a(doubted["judge"], str), counts["n_judged"], counts["n"], answers)
        return Findings.from_dict(kept["findings"]), found
    except (AttributeError, KeyError, TypeError, ValueError):
        return None, None


def _answer(values: Any) -> Answer:
    path, given, predicted = (is_a(values[name], str) for name in ("path", "given", "predicted"))
    return Answer(path, given, predicted, number(values["confidence"]), number(values["given_probability"]))
