"""The two phases of fine-tuning: the head alone, then the last stages with it at a smaller rate."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.augment.mixing import Mixing, mix
from automl_tl.backbones.stages import Network, freeze, train_mode
from automl_tl.errors import AutomlTlError
from automl_tl.features.engine import Engine
from automl_tl.learning.activations import PLAIN, ActivationCache, Activations
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe, Schedule

CLIP_NORM = 5.0
"""Largest norm of the gradient of all parameters: a guard against spikes, AdamW rescales the rest."""
_BATCHES_AT_ONCE = 64


class TrainingError(AutomlTlError):
    """A training run cannot go on; the sentence says why."""


@dataclass(frozen=True)
class Step:
    """Where a training run is: reported after every epoch."""

    epoch: int
    """Epochs done, of both phases."""
    progress: float
    """Share of the schedule that is done, 0 to 1."""
    loss: float
    """Mean of the epoch."""


@dataclass(frozen=True)
class Trained:
    """What a training run came to."""

    losses: tuple[float, ...]
    """Mean loss of each epoch."""
    seconds: float
    epochs: int
    shortened: bool
    """Whether the time limit ended the schedule early."""


def copy_network(network: Network) -> Network:
    """Return a network with parameters of its own; the backbone object is shared."""
    memo = {id(network.backbone): network.backbone}
    module, stages = copy.deepcopy((network.module, network.stages), memo)
    return Network(
        network.name, network.backbone, module, stages, network.weights, network.channels, network.layouts
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tunable:
    """A copy of a network with a head, on what its frozen stages put out."""

    network: Network
    """`copy_network`'s: its first `cache.boundary` stages stay as they are."""
    head: NetworkHead
    cache: ActivationCache
    """Of the same network's prefix."""

    def forward(self, batch: Activations, *, frozen: bool = False) -> Tensor:
        """Return scores (m, C) float32 of a batch at the boundary; with `frozen` no gradient reaches the stages."""
        cache, last = self.cache, max(self.cache.cuts)
        x, pooled = batch.output, dict(batch.pooled)
        with cache.engine.autocast():
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                for number in range(cache.boundary + 1, last + 1):
                    x = self.network.stages[number - 1](x)
                    if number in cache.cuts:
                        pooled[number] = cache.columns(x, number)
            if self.head.convolution is not None:
                pooled[last] = cache.columns(self.head.refine(x), last)
        with torch.autocast(x.device.type, enabled=False):
            scores: Tensor = self.head(torch.cat([pooled[cut].float() for cut in cache.cuts], dim=1))
        return scores

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (m, C) float32 of the pictures `rows` as they are; modules must be in eval mode."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(rows), _BATCHES_AT_ONCE):
                batch = self.cache.batch(PLAIN, rows[start : start + _BATCHES_AT_ONCE])
                parts.append(self.forward(batch).cpu().numpy())
        return np.concatenate(parts)


def finetune(
    tunable: Tunable,
    y: np.ndarray,
    rows: np.ndarray,
    recipe: Recipe,
    *,
    limit: float | None = None,
    observe: Callable[[Step], None] | None = None,
) -> Trained:
    """Train the last stages and the head in place, on the pictures `rows`; the last epoch counts.

    Rates follow warm-up and cosine. With a `limit` in seconds the schedule is a share of the steps or of the time,
    whichever is further: so a run that turns out slower than planned still ends with small rates, in time.

    Args:
        tunable: what is trained; its head is where that starts from, usually a solved one. The cache's seed is that of
            the order and of dropout, too.
        y: int (n,), labels of all pictures of the cache.
        rows: int (m,), those that are learned from.
        recipe: how.
        limit: seconds, or None: then no clock is read.
        observe: called after every epoch; what it raises ends the run.

    Raises:
        TrainingError: the loss is no longer finite, or one picture at a time does not fit into memory.
    """
    run, cache = _Run(tunable, y, recipe), tunable.cache
    schedule = Schedule(recipe, _n_batches(len(rows), recipe.batch_size), limit)
    losses: list[float] = []
    with torch.random.fork_rng(devices=_cuda_devices(cache.engine)):
        torch.manual_seed(cache.seed)
        while not schedule.finished:
            loss = run.epoch(rows, len(losses), schedule)
            losses.append(loss)
            if observe is not None:
                observe(Step(len(losses), schedule.progress, loss))
    tunable.network.module.eval()
    tunable.head.eval()
    return Trained(tuple(losses), schedule.elapsed, len(losses), schedule.shortened)


class _Run:
    """The parts of one training run that stay the same over its epochs."""

    def __init__(self, tunable: Tunable, y: np.ndarray, recipe: Recipe) -> None:
        self.tunable, self.cache, self.recipe = tunable, tunable.cache, recipe
        engine, seed = self.cache.engine, self.cache.seed
        self.y = torch.from_numpy(np.asarray(y, np.int64)).to(engine.device)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)
        weights = None if recipe.class_weights is None else torch.tensor(recipe.class_weights, dtype=torch.float32)
        self.loss = nn.CrossEntropyLoss(
            weight=None if weights is None else weights.to(engine.device), label_smoothing=recipe.label_smoothing
        )
        freeze(tunable.network, max(self.cache.cuts) - recipe.unfrozen)
        self.optimizer = _optimizer(tunable, recipe)
        half = engine.device.startswith("cuda") and engine.dtype == "float16"
        self.scaler = torch.amp.GradScaler(enabled=half)
        self.parts = 1
        self.head_only = False

    def epoch(self, rows: np.ndarray, number: int, schedule: Schedule) -> float:
        """Go once over the pictures, each in this epoch's variant; return the mean loss."""
        self._set_modes(head_only=schedule.head_only)
        total, seen = 0.0, 0
        for some in _batches(self.rng.permutation(rows), self.recipe.batch_size):
            if schedule.finished:
                break
            self._set_rates(schedule)
            total += self._step(some, 1 + number) * len(some)
            seen += len(some)
            schedule.advance()
        return total / max(seen, 1)

    def _set_modes(self, *, head_only: bool) -> None:
        first = max(self.cache.cuts) - self.recipe.unfrozen
        self.tunable.head.train()
        self.head_only = head_only
        if head_only:
            self.tunable.network.module.eval()
        else:
            train_mode(self.tunable.network, first, batchnorm=self.recipe.batchnorm)

    def _set_rates(self, schedule: Schedule) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * schedule.factor

    def _step(self, rows: np.ndarray, variant: int) -> float:
        """Take one optimiser step; where memory does not suffice, in more and smaller parts from then on."""
        while True:
            try:
                return self._accumulate(rows, variant)
            except (torch.OutOfMemoryError, MemoryError) as error:
                self.optimizer.zero_grad(set_to_none=True)
                self.scaler = torch.amp.GradScaler(enabled=self.scaler.is_enabled())
                if self.parts >= len(rows):
                    raise TrainingError("one picture at a time does not fit into the memory of the device") from error
                self.parts *= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def _accumulate(self, rows: np.ndarray, variant: int) -> float:
        loss = 0.0
        for part in np.array_split(rows, min(self.parts, len(rows))):
            value = self._loss(part, variant) * (self._weight(part) / self._weight(rows))
            torch.autograd.backward(self.scaler.scale(value))
            loss += float(value.detach())
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} at a head learning rate of {self.recipe.head_lr:.2g}")
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _weight(self, rows: np.ndarray) -> float:
        """Return what the mean loss of some pictures counts: their number, or the sum of their classes' weights."""
        if self.loss.weight is None or self.recipe.mixing != Mixing():
            return float(len(rows))
        return float(self.loss.weight[self.y[torch.from_numpy(rows).to(self.y.device)]].sum())

    def _loss(self, rows: np.ndarray, variant: int) -> Tensor:
        batch = self.cache.batch(variant, rows)
        y = self.y[torch.from_numpy(rows).to(self.y.device)]
        with torch.set_grad_enabled(True):
            if self.recipe.mixing == Mixing():
                value: Tensor = self.loss(self._forward(batch), y)
                return value
            targets = nn.functional.one_hot(y, self.tunable.head.n_classes).float()
            output, targets, pooled = mix(batch.output, targets, self.recipe.mixing, self.generator, batch.pooled)
            value = self.loss(self._forward(Activations(output, pooled)), targets)
            return value

    def _forward(self, batch: Activations) -> Tensor:
        return self.tunable.forward(batch, frozen=self.head_only)


def _optimizer(tunable: Tunable, recipe: Recipe) -> torch.optim.AdamW:
    last = max(tunable.cache.cuts)
    stages = nn.ModuleList(tunable.network.stages[last - recipe.unfrozen : last])
    groups = [
        *_groups(tunable.head, recipe.head_lr, recipe.weight_decay),
        *_groups(stages, recipe.head_lr / recipe.lr_ratio, recipe.weight_decay),
    ]
    return torch.optim.AdamW(groups)


def _groups(module: nn.Module, lr: float, weight_decay: float) -> Iterator[dict[str, object]]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    for some, decay in (
        ([p for p in parameters if p.ndim > 1], weight_decay),
        ([p for p in parameters if p.ndim <= 1], 0.0),
    ):
        if some:
            yield {"params": some, "lr": lr, "highest": lr, "weight_decay": decay}


def _n_batches(n: int, batch_size: int) -> int:
    return sum(1 for _ in _batches(np.arange(n), batch_size))


def _batches(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Split into batches; a single picture that is left joins the batch before, as BatchNorm cannot learn from it."""
    starts = list(range(0, len(rows), batch_size))
    if len(starts) > 1 and len(rows) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield rows[start:end]


def _cuda_devices(engine: Engine) -> list[int]:
    return [torch.device(engine.device).index or 0] if engine.device.startswith("cuda") else []
