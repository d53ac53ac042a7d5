"""Candidates as a model: as good as it is so far, or refitted and calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from automl_tl.model.forward import forward, share_stages
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.model.novelty import Novelty, contrast, like_training, measure_novelty
from automl_tl.searcher.delivery.ensemble import own_temperature
from automl_tl.searcher.delivery.members import frozen_member, kept_member, rescaled
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.spare_time import UNLIMITED, SpareTime, until

RIDGE_TEMPERATURE = 0.2
"""Of ridge scores on +-1 targets, before anything was measured."""
NOVELTY_PICTURES, _AT_ONCE = 100, 8


def interim_model(task: Task, outcome: Outcome) -> Model:
    """Return a candidate as a model while the search goes on: as its trial left it, or solved on everything."""
    configuration = outcome.configuration
    trained = configuration.is_trained
    member = kept_member(task, configuration, outcome.state) if trained else frozen_member(task, configuration)
    temperature = own_temperature(task, outcome)
    details = {"configuration": configuration.to_dict(), "metrics": {"validation": outcome.value}}
    return _assembled(task, (member,), temperature, None, details)


def first_interim_model(task: Task, member: Member) -> Model:
    """Return what is written as soon as anything can be solved."""
    return _assembled(task, (member,), RIDGE_TEMPERATURE, None, {})


def calibrated_model(
    scored: Task,
    task: Task,
    chosen: Sequence[Outcome],
    shares: Sequence[float],
    members: Sequence[Member],
    spare: SpareTime = UNLIMITED,
) -> Model:
    """Return the calibrated model: of several members each has its own temperature folded into its head.

    Args:
        scored: what the candidates were scored on.
        task: what the members have learned.
        chosen: the candidates.
        shares: of each in the model.
        members: of each candidate, refitted.
        spare: time for how far apart the training pictures lie; late, a batch of them says it.
    """
    temperatures = [own_temperature(scored, outcome) for outcome in chosen]
    if len(members) == 1:
        calibrated, temperature = tuple(members), temperatures[0]
    else:
        calibrated = tuple(
            rescaled(member, 1 / own, share)
            for member, own, share in zip(members, temperatures, shares, strict=True)
        )  # fmt: skip
        temperature = 1.0
    novelty = _novelty(scored, calibrated[0], spare)
    return _assembled(task, calibrated, temperature, novelty, {})


def _assembled(
    task: Task, members: tuple[Member, ...], temperature: float, novelty: Novelty | None, details: Mapping[str, Any]
) -> Model:
    return Model(share_stages(members), task.sample.classes, temperature, task.fit, novelty, details)


def _novelty(task: Task, member: Member, spare: SpareTime) -> Novelty | None:
    rows = task.sample.subset(NOVELTY_PICTURES, task.seed)[:NOVELTY_PICTURES]
    pictures = [task.sample.pictures[row] for row in rows]
    if len(pictures) < 2:
        return None
    how = member.preprocessing
    embeddings, contrasts = [], []
    for _, images in until(spare.ends, task.networks.pixels.batches(pictures, how, _AT_ONCE)):
        embeddings.append(forward([member], {how: images})[0][1].numpy())
        contrasts.append(contrast(images, how))
    found = np.concatenate(embeddings)
    novelty = measure_novelty(found, task.sample.groups[rows[: len(found)]])
    return replace(novelty, least_contrast=like_training(np.concatenate(contrasts)))
