"""From candidates to members of a model: refitted on more pictures, or as their trial left them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from automl_tl.backbones.stages import Network
from automl_tl.errors import sentence
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.trainer import Start, empty_head, restore
from automl_tl.learning.tunable import copy_network
from automl_tl.model.member import Member
from automl_tl.searcher.delivery.place import Place
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import UNBOUNDED, Allowance
from automl_tl.searcher.trials.frozen import solve_frozen
from automl_tl.searcher.trials.observer import Watch
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.trained import Learned

DIVERGED = 2.0
"""A refit whose last loss is so many times that of its first epoch, and above DIVERGED_LOSS, is rejected."""
DIVERGED_LOSS = 0.5


@dataclass(frozen=True, eq=False)
class Refitted:
    """A member, and what it learned from."""

    member: Member
    n: int
    """Pictures that it learned from."""
    state: Mapping[str, Tensor] | None = None
    """Of a trained one, what it has learned (`learned_state`)."""
    note: str = ""
    is_refit: bool = True
    """Whether it learned from all of the task's pictures, or is what its trial left."""
    share: float = 1.0
    """Of its epochs that there was time for."""
    loss: float = math.nan
    """Mean of its last epoch, of a trained one."""


def frozen_member(task: Task, configuration: Configuration, head: LinearHead | None = None) -> Member:
    """Return a frozen candidate solved on every picture of the task, or with a head that is at hand."""
    solved = solve_frozen(task, configuration) if head is None else head
    network = task.networks.network(configuration.backbone)
    return _member(task, configuration, network, NetworkHead.from_linear(solved).to(network.device))


def kept_member(task: Task, configuration: Configuration, state: Mapping[str, Tensor]) -> Member:
    """Return a trained candidate with what it has learned."""
    network = copy_network(task.networks.network(configuration.backbone))
    d = task.matrix(*configuration.source).shape[1]
    head = empty_head(network, configuration, d, task.n_classes).to(network.device)
    restore(configuration, network, head, state)
    return _member(task, configuration, network, head)


def as_trained(task: Task, outcome: Outcome, note: str) -> Refitted:
    """Return a trained candidate as its trial left it, with a note that says why it was not refitted."""
    member = kept_member(task, outcome.configuration, outcome.state)
    return Refitted(member, task.n_trained, outcome.state, note, is_refit=False)


def refitted(
    task: Task,
    outcome: Outcome,
    l2: float,
    place: Place,
    *,
    state: Mapping[str, Tensor] | None = None,
    allowance: Allowance = UNBOUNDED,
    watch: Watch | None = None,
) -> Refitted:
    """Return a candidate that has learned from every picture of the task.

    Args:
        task: the data; it may hold more pictures than the trials saw.
        outcome: of the candidate.
        l2: multiple of columns over pictures for the solved head of a trained one.
        place: where it learns.
        state: what a trained one goes on from, as its trial or an earlier refit left it; None begins anew.
        allowance: of a trained one.
        watch: told of every epoch.
    """
    configuration = outcome.configuration
    if not configuration.is_trained:
        head = place.executor.submit(solve_frozen, task, configuration).result()
        return Refitted(frozen_member(task, configuration, head), task.sample.n)
    if allowance.seconds is not None and allowance.seconds <= 0:
        return _rejected(task, outcome, "there was no time left for it")
    try:
        start = Start(l2, state)
        learned = place.learned(task, configuration, start, allowance=allowance, watch=watch)
        if fault := _fault(learned):
            return _rejected(task, outcome, fault)
        member = kept_member(task, configuration, learned.state)
    except Exception as error:  # whatever a plugin's code raises; the trial's own model is there
        return _rejected(task, outcome, sentence(error))
    planned = configuration.tuned.all_epochs if state is None else configuration.tuned.epochs
    note, share = _time_note(planned, learned, allowance.epochs), 1.0
    if allowance.epochs is None and learned.trained.shortened:
        share = learned.trained.epochs / planned
    return Refitted(member, task.sample.n, learned.state, note, share=share, loss=learned.trained.losses[-1])


def with_second_round(
    task: Task, outcome: Outcome, first: Refitted, l2: float, place: Place, *, allowance: Allowance, watch: Watch
) -> Refitted:
    """Return a refit averaged with what it comes to by going on, or as it is where that cannot be used.

    Both have learned from the same pictures, the second from where the first one ended, its rates risen and fallen
    again, so they mostly lie in one basin of the loss, and the mean of their weights in its flat middle (Izmailov et
    al. 2018, arXiv 1803.05407).

    Args:
        task: the data.
        outcome: of the candidate.
        first: of it, whole.
        l2, place, watch: as for `refitted`.
        allowance: of the second round.
    """
    configuration = outcome.configuration
    assert first.state is not None
    try:
        learned = place.learned(task, configuration, Start(l2, first.state), allowance=allowance, watch=watch)
        if _fault(learned) or learned.trained.losses[-1] > max(DIVERGED * first.loss, DIVERGED_LOSS):
            return first
        state = averaged(first.state, learned.state)
        return replace(first, member=kept_member(task, configuration, state), state=state)
    except Exception:  # whatever a plugin's code raises; the first round is whole
        return first


def averaged(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the means of two `learned_state`s of the same configuration; what only counts is taken from the second."""
    return {name: (one[name] + value) / 2 if value.is_floating_point() else value for name, value in other.items()}


def _time_note(planned: int, learned: Learned, epochs: int | None) -> str:
    """Return what there was no time for, in a sentence, or nothing."""
    if epochs is not None:
        return f"There was no time for a whole refit: training went on with every training picture for {epochs} epochs."
    done = learned.trained.epochs
    if done >= planned or not learned.trained.shortened:  # an epoch without a loss was no want of time
        return ""
    return f"The refit on every training picture had time for {done} of {planned} epochs."


def _fault(learned: Learned) -> str | None:
    """Return why a refit cannot be used, or None."""
    losses = learned.trained.losses
    if not losses:
        return "there was no time left for it"
    last, first = losses[-1], losses[0]
    if not np.isfinite(last) or last > max(DIVERGED * first, DIVERGED_LOSS):
        return f"its loss rose from {first:.2f} to {last:.2f}"
    return None


def rescaled(member: Member, factor: float, weight: float) -> Member:
    """Return a member of an ensemble: its scores times `factor`, its share `weight`; the member itself stays."""
    head = deepcopy(member.head)
    with torch.no_grad():
        added = head.fully_connected
        for layer in (head.linear, *([] if added is None else [added[-1]])):
            for parameter in layer.parameters():
                parameter.mul_(factor)
    return replace(member, head=head, weight=weight)


def _rejected(task: Task, outcome: Outcome, reason: str) -> Refitted:
    return as_trained(task, outcome, f"The refit on every training picture was rejected, since {reason}.")


def _member(task: Task, configuration: Configuration, network: Network, head: NetworkHead) -> Member:
    return Member(
        network=network,
        cuts=configuration.cuts,
        pooling=configuration.pooling,
        head=head.eval(),
        kind=configuration.head,
        preprocessing=task.networks.preprocessing(configuration.backbone, task.fit),
    )
