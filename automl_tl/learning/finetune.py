"""The two phases of fine-tuning: the head alone, then the last stages with it at a smaller rate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.augment.mixing import Mixing, mix
from automl_tl.backbones.stages import freeze, train_mode
from automl_tl.devices import own_numbers, to_device
from automl_tl.errors import AutomlTlError
from automl_tl.features.halving import halving
from automl_tl.learning.activations import Activations
from automl_tl.learning.callbacks import Callback, History
from automl_tl.learning.cross_entropy import CrossEntropy
from automl_tl.learning.fast_stages import FastStages
from automl_tl.learning.losses import Losses
from automl_tl.learning.optimizer import make_optimizer
from automl_tl.learning.recipe import Recipe, batch_size_for
from automl_tl.learning.retreat import Retreat
from automl_tl.learning.schedule import Schedule
from automl_tl.learning.sharing import find_sharing
from automl_tl.learning.state import State
from automl_tl.learning.tunable import Tunable
from automl_tl.monitor import Epoch

CLIP_NORM = 5.0
"""Largest norm of the gradient of all parameters: a guard against spikes, AdamW rescales the rest."""


class TrainingError(AutomlTlError):
    """A training run cannot go on; the sentence says why."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be learned."""

    y: np.ndarray
    """int (n,), labels of all pictures of the cache."""
    class_weights: np.ndarray | None = None
    """Of the loss, float (C,); None: every picture counts the same."""


@dataclass(frozen=True)
class Trained:
    """What a training run came to."""

    history: tuple[Epoch, ...]
    """Every epoch, the last one perhaps not whole."""
    shortened: bool
    """Whether a callback's time limit ended the schedule early."""

    @property
    def losses(self) -> tuple[float, ...]:
        """Mean loss of each epoch."""
        return tuple(epoch.loss for epoch in self.history)

    @property
    def epochs(self) -> int:
        """Epochs, of both phases."""
        return len(self.history)


def finetune(
    tunable: Tunable,
    targets: Targets,
    rows: np.ndarray,
    recipe: Recipe,
    *,
    batch_size: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Train the last stages and the head in place, on the pictures `rows`; the last epoch counts.

    Rates follow warm-up and cosine, by the steps that are done or the time that is spent, as a `Deadline` says. What
    diverges begins again at smaller ones, see `Retreat`.

    Args:
        tunable: what is trained; its head is where that starts from, usually a solved one. The cache's seed is that of
            the order and of dropout, too.
        targets: labels, and what each class weighs.
        rows: int (m,), those that are learned from.
        recipe: how; its policy is the cache's and its layers are the head's already.
        batch_size: pictures of an optimiser step; default: `batch_size_for` says how many suit.
        callbacks: that watch, in their order; what one raises ends the run.

    Raises:
        TrainingError: the loss is no longer finite, at smaller rates either.
        ShortageError: one picture at a time does not fit into memory.
        ConnectionError: another process of the group that trains the network was lost; see `Sharing`.
    """
    size = batch_size_for(len(rows)) if batch_size is None else batch_size
    run, started = _Run(tunable, targets, recipe, size), time.perf_counter()
    history = History()
    for callback in callbacks:
        callback.on_train_begin(tunable)
    schedule = Schedule(recipe, _n_batches(len(rows), size), run.sharing.clock(partial(_spent, callbacks)))
    state = run.state(schedule, history.epochs)
    with _ending(callbacks), own_numbers(tunable.cache.seed + run.sharing.rank), run.fast:
        started -= _gone_on(callbacks, state, run, rows)
        for epoch in _epochs(run, rows, schedule, history, started):
            with run.fast.paused():
                _tell([*callbacks, history], epoch)
    tunable.eval()
    return Trained(tuple(history.epochs), schedule.shortened)


def _epochs(run: _Run, rows: np.ndarray, schedule: Schedule, history: History, started: float) -> Iterator[Epoch]:
    """Train to the end of the schedule; yield every epoch whose loss is a number.

    Args:
        run: what is trained, and how.
        rows: int (m,), pictures that are learned from.
        schedule: of the run.
        history: that the epochs are told to.
        started: when training would have begun without a break, by `time.perf_counter`.
    """
    while not schedule.finished:
        number, done = len(history.epochs) + 1, schedule.done
        loss = run.advance(rows, number, schedule)
        if schedule.done == done:
            return  # the time was over before a step was taken
        seconds, progress = time.perf_counter() - started, min(schedule.progress, 1.0)
        if math.isfinite(loss):
            yield Epoch(number, run.recipe.all_epochs, progress, loss, run.rate, seconds)


def _gone_on(callbacks: Sequence[Callback], state: State, run: _Run, rows: np.ndarray) -> float:
    """Go on from where a callback has put the state; return the seconds that were trained before."""
    for callback in callbacks:
        callback.on_state(state)
    for _ in range(state.retreat.so_far.untold):
        run.order(rows)
    for epoch in state.history:
        run.order(rows)
        _tell(callbacks, epoch)
    return state.history[-1].seconds if state.history else 0.0


@contextmanager
def _ending(callbacks: Sequence[Callback]) -> Iterator[None]:
    try:
        yield
    finally:
        for callback in callbacks:
            callback.on_train_end()


def _spent(callbacks: Sequence[Callback]) -> float:
    return max((callback.spent() for callback in callbacks), default=0.0)


def _tell(callbacks: Sequence[Callback], epoch: Epoch) -> None:
    for callback in callbacks:
        epoch = callback.on_epoch_end(epoch)


class _Run:
    """The parts of one training run that stay the same over its epochs."""

    def __init__(self, tunable: Tunable, targets: Targets, recipe: Recipe, batch_size: int) -> None:
        self.tunable, self.cache, self.recipe, self.batch_size = tunable, tunable.cache, recipe, batch_size
        self.mixing = Mixing(recipe.mixup, recipe.cutmix)
        engine, seed = self.cache.engine, self.cache.seed
        self.sharing = find_sharing(engine.device)
        self.y = np.asarray(targets.y, np.int64)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed + self.sharing.rank)
        self.class_weights = targets.class_weights
        given = None if self.class_weights is None else torch.from_numpy(self.class_weights).float()
        weights = None if given is None else to_device(given, engine.device)
        self.loss = CrossEntropy(recipe.label_smoothing, weights)
        last = max(self.cache.cuts)
        freeze(tunable.network, last - recipe.unfrozen)
        self.learned = nn.ModuleList([tunable.head, *tunable.network.stages[last - recipe.unfrozen : last]])
        self.optimizer = make_optimizer(tunable, recipe)
        self.sharing.begin(self.learned)
        self.retreat = Retreat(self.learned, self.optimizer, tunable.head.n_classes)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.summed_in = torch.float32 if engine.kind == "mps" else torch.float64  # Apple's GPUs have no float64
        half = engine.kind == "cuda" and engine.dtype == "float16"
        self.scaler = torch.amp.GradScaler(enabled=half)
        largest = math.ceil(batch_size / self.sharing.size)
        self.parts = math.ceil(largest / (engine.batch_size or largest))
        self.head_only = False
        stages = tunable.network.stages[self.cache.boundary : last]
        self.fast = FastStages(stages, engine, folding=recipe.batchnorm == "frozen")

    @property
    def rate(self) -> float:
        """Learning rate of the head."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state(self, schedule: Schedule, history: list[Epoch]) -> State:
        """Return what changes while the run goes on."""
        return State(
            self.learned, self.optimizer, self.scaler, self.generator, self.sharing, schedule, history, self.retreat
        )

    def order(self, rows: np.ndarray) -> np.ndarray:
        """Return the pictures in the order of the next epoch."""
        order: np.ndarray = self.rng.permutation(rows)
        return order

    def advance(self, rows: np.ndarray, number: int, schedule: Schedule) -> float:
        """Go once over the pictures, and back to the start where that diverged; return the mean loss.

        Raises:
            TrainingError: it is not finite, and there is no further retreat, or no time after it.
        """
        losses = self.epoch(rows, number, schedule)
        loss = losses.mean()
        went_back = self.retreat.take_if_due(loss, losses.first)
        if not (math.isfinite(loss) or (went_back and not schedule.finished)):
            raise TrainingError(f"the loss became {loss:.3g} at a head learning rate of {self.rate:.2g}")
        if self.head_only and not schedule.head_only:
            self.retreat.keep()
        return loss

    def epoch(self, rows: np.ndarray, number: int, schedule: Schedule) -> Losses:
        """Go once over the pictures, each in this epoch's variant, or until a loss is none; return the losses."""
        self._set_modes(head_only=schedule.head_only)
        losses = Losses()
        for some in _batches(self.order(rows), self.batch_size):
            if schedule.finished:
                break
            if self.head_only and not schedule.head_only:  # the clock has overtaken the steps
                self.retreat.keep()
                self._set_modes(head_only=False)
            self._set_rates(schedule)
            losses.add(self._step(some, number), len(some))
            schedule.advance()
            if losses.due and not math.isfinite(losses.mean()):
                break
        return losses

    def _set_modes(self, *, head_only: bool) -> None:
        first = max(self.cache.cuts) - self.recipe.unfrozen
        self.tunable.head.train()
        self.head_only = head_only
        still = len(self.tunable.network.stages) if head_only else first
        train_mode(self.tunable.network, still, batchnorm=self.recipe.batchnorm)

    def _set_rates(self, schedule: Schedule) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * schedule.factor * self.retreat.factor

    def _step(self, rows: np.ndarray, variant: int) -> Tensor:
        """Take one optimiser step; where memory does not suffice, in more and smaller parts from then on."""
        own = self.sharing.part(rows)

        def accumulate(parts: int) -> Tensor:
            if parts > self.parts:
                self.optimizer.zero_grad(set_to_none=True)  # what a try has left that failed half way
            return self._accumulate(own, len(rows), variant, parts)

        loss, self.parts = halving(accumulate, len(own), self.parts)
        loss = self.sharing.add_up(self.parameters, loss)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _accumulate(self, rows: np.ndarray, of: int, variant: int, parts: int) -> Tensor:
        """Add up gradients of some of a batch of so many; return the loss where it is computed, waiting for no GPU."""
        if not len(rows):
            return torch.zeros((), dtype=self.summed_in, device=self.cache.engine.device)
        losses = []
        for part in np.array_split(rows, min(parts, len(rows))):
            value = self._loss(part, variant) * (len(part) / of)
            torch.autograd.backward(self.scaler.scale(value))
            losses.append(value.detach().to(self.summed_in))
        return torch.stack(losses).sum()

    def _loss(self, rows: np.ndarray, variant: int) -> Tensor:
        batch = self.cache.batch(variant, rows)
        y = to_device(torch.from_numpy(self.y[rows]), self.cache.engine.device)
        with torch.set_grad_enabled(True):
            if self.mixing == Mixing():
                return self.loss(self._forward(batch), y)
            targets = nn.functional.one_hot(y, self.tunable.head.n_classes).float()
            layout = self.cache.layout
            output, targets, pooled = mix(batch.output, targets, self.mixing, self.generator, batch.pooled, layout)
            return self.loss(self._forward(Activations(output, pooled)), targets)

    def _forward(self, batch: Activations) -> Tensor:
        self.fast.see(batch.output)
        return self.tunable.forward(batch, frozen=self.head_only)


def _n_batches(n: int, batch_size: int) -> int:
    return sum(1 for _ in _batches(np.arange(n), batch_size))


def _batches(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Split into batches; a single picture that is left joins the batch before, as BatchNorm cannot learn from it."""
    starts = list(range(0, len(rows), batch_size))
    if len(starts) > 1 and len(rows) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield rows[start:end]
