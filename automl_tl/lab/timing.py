"""What a forward pass and a training step cost on this machine, measured once per backbone and kept."""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.augment.policy import AugmentationPolicy, augment
from automl_tl.backbones.blame import blaming
from automl_tl.backbones.stages import Network, normalise, pool_stage
from automl_tl.data.decode import Preprocessing
from automl_tl.devices import to_device
from automl_tl.features.batch_size import pictures_at_once
from automl_tl.features.engine import Engine
from automl_tl.features.extract import statistics
from automl_tl.features.halving import halving
from automl_tl.features.memo import remember
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore, batches
from automl_tl.foreign import number, numbers
from automl_tl.learning.activations import HALF_PRECISION, MAX_BYTES, frozen_stages
from automl_tl.learning.fast_stages import FastStages
from automl_tl.learning.optimizer import adamw
from automl_tl.learning.trainer import prefix_passes
from automl_tl.spare_time import UNLIMITED, SpareTime

TIMING = "timing a training step (estimated instead)"
SHARE = 0.5
"""Of the time that is spare: on a busy machine a step takes ten times as long, and others need time as well."""
_BATCH = 16
_STEP_BATCH, _GPU_STEP_BATCH = 8, 32
"""Pictures of a timed step; on a GPU, which waits for the launching of kernels, as many as steps mostly have."""
_REPEATS = 3
"""Of a run that is timed: the second training step of a process still took 1.2 to 1.7 times the later ones."""
_LONG = 2.0
"""Seconds after which a timing is not repeated any more: it must not eat the time that it is to plan."""
STEP_OVER_FORWARD = 3.0
"""What a training step takes over a forward pass where neither was timed: the backward pass takes twice as long, since
it computes gradients of weights and of inputs."""
_POLICY = AugmentationPolicy(hflip=0.5, rotation=10, scale=(0.9, 1.1))


@dataclass(frozen=True)
class TrainingSpeed:
    """What training costs on this machine, in seconds per picture."""

    suffix: float
    """Of a step in which only the last `unfrozen` stages and the head learn; augmentation and the others included."""
    whole: float
    """Of a step of every stage, augmentation included."""
    unfrozen: int
    frozen: float
    """Of a pass through the others, which a training run makes once for every variant that it can keep."""
    kept_bytes: int
    """Of what they put out for a picture, as it is kept."""

    def tuning(self, n: int, epochs: int) -> float:
        """Return the seconds in which the last stages learn from n pictures once, as often as there are epochs."""
        room = MAX_BYTES // max(n * self.kept_bytes, 1)
        passes = prefix_passes(epochs, room)
        return n * (epochs * max(self.suffix - self.frozen, 0.0) + passes * self.frozen)


def forward_seconds(network: Network, engine: Engine, folder: Path) -> float:
    """Return the seconds per picture of a forward pass with its statistics, from disk if known."""
    size, n = network.backbone.input_size, forward_batch(network, engine)

    def measure() -> float:
        images = _noise(n, size)
        return _fastest(lambda: statistics(network, images, engine), engine) / n

    return remember(folder, {**machine(network, engine), "what": "forward", "at once": n}, measure, number)


def forward_batch(network: Network, engine: Engine) -> int:
    """Return how many pictures a forward pass is timed with: as many as it will get, fewer where each takes as long.

    On a GPU they do not, nor in a graph of OpenVINO, which fills a batch up.
    """
    takes_as_long = engine.kind == "cpu" and engine.runtime != "openvino"
    return _BATCH if takes_as_long else engine.batch_size or pictures_at_once(network)


def training_speed(
    network: Network, engine: Engine, cut: int, unfrozen: int, folder: Path, spare: SpareTime = UNLIMITED
) -> TrainingSpeed:
    """Return the measured seconds per picture of a training step, from disk if known.

    Args:
        network: a built backbone; a copy of it is trained, it stays as it is.
        engine: where and in which number format.
        cut: stages kept in the first of the two numbers.
        unfrozen: stages that learn in it, the last ones before the cut.
        folder: where measured speeds are kept.
        spare: time for measuring.

    Raises:
        BackboneError: it cannot be trained.
        LateError: it is not known, and there is no time to measure it.
    """

    suffix = _known_step(network, engine, cut, unfrozen, folder, spare)
    whole = whole_step_seconds(network, engine, folder, spare)
    boundary = cut - unfrozen
    forward = sum(stage_seconds(network, engine, folder, spare)[:boundary]) if boundary else 0.0
    return TrainingSpeed(suffix, whole, unfrozen, min(forward, suffix), _kept_bytes(network, boundary))


def _kept_bytes(network: Network, boundary: int) -> int:
    """Return the bytes of what the first stages put out for a picture, as it is kept; 0 where there are none."""
    return HALF_PRECISION * network.sizes[boundary - 1] if boundary else 0


def whole_step_seconds(network: Network, engine: Engine, folder: Path, spare: SpareTime = UNLIMITED) -> float:
    """Return the measured seconds per picture of a training step of every stage, from disk if known.

    Raises:
        BackboneError: the backbone cannot be trained.
        LateError: it is not known, and there is no time to measure it.
    """
    return _known_step(network, engine, network.n_stages, network.n_stages, folder, spare)


def estimated_speed(forward: float, network: Network, cut: int, unfrozen: int) -> TrainingSpeed:
    """Return what a training step is taken to need where none was timed, from the seconds of a forward pass.

    Args:
        forward: seconds per picture.
        network: its backbone.
        cut: stages; each is taken to need the same.
        unfrozen: stages that learn.
    """
    learning = unfrozen / cut
    frozen = forward * (1 - learning)
    step, kept = STEP_OVER_FORWARD * forward, _kept_bytes(network, cut - unfrozen)
    return TrainingSpeed(step * learning + frozen, step, unfrozen, frozen, kept)


def _known_step(network: Network, engine: Engine, cut: int, unfrozen: int, folder: Path, spare: SpareTime) -> float:
    def measure() -> float:
        with blaming(network.name, "could not be trained for a step"):
            step = _Step(network, engine, cut, unfrozen, spare)
            with step.fast:
                return _fastest(step.take, engine, spare=spare) / step.n

    at_once = min(_step_batch(engine), engine.batch_size or _GPU_STEP_BATCH)
    what = {"what": "training step with what is fast", "at once": at_once}
    key = {**machine(network, engine), **what, "cut": cut, "unfrozen": unfrozen}
    return remember(folder, key, measure, number)


def stage_seconds(network: Network, engine: Engine, folder: Path, spare: SpareTime = UNLIMITED) -> tuple[float, ...]:
    """Return the seconds per picture of every stage's forward pass in training that freezes it, from disk if known.

    Raises as `training_speed`.
    """

    def measure() -> list[float]:
        images = _noise(_BATCH, network.backbone.input_size)
        x = normalise(images.to(engine.device), network.backbone.mean, network.backbone.std)
        x = x.contiguous(memory_format=torch.channels_last)
        seconds = []
        with torch.no_grad(), engine.autocast():
            for stage in frozen_stages(network, network.n_stages, engine):
                seconds.append(_fastest(partial(stage, x), engine, spare=spare) / _BATCH)
                x = stage(x)
        return seconds

    return remember(folder, {**machine(network, engine), "what": "frozen stages"}, measure, numbers)


def latencies(network: Network, engine: Engine) -> tuple[float, ...]:
    """Return the seconds that one picture takes up to and with every stage, alone in its batch, in float32."""
    size = network.backbone.input_size
    x = torch.zeros(1, 3, size, size, device=engine.device).contiguous(memory_format=torch.channels_last)
    seconds: list[float] = []
    with torch.no_grad():
        for stage in network.stages:
            before = seconds[-1] if seconds else 0.0
            seconds.append(before + _fastest(partial(stage, x), engine, repeats=9))
            x = stage(x)
    return tuple(seconds)


class _Step:
    """A training step of a copy of a network on noise, in as many parts as memory and the engine ask for."""

    def __init__(self, network: Network, engine: Engine, cut: int, unfrozen: int, spare: SpareTime) -> None:
        """Copy the network; the last stages learn, or all of them where these have nothing to learn."""
        self.network, self.engine, self.cut, self.spare = network, engine, cut, spare
        stages = network.backbone.stages(copy.deepcopy(network.module))[:cut]
        frozen = cut - unfrozen
        if not any(True for stage in stages[frozen:] for _ in stage.parameters()):
            frozen = 0
        self.frozen, self.learning = stages[:frozen], stages[frozen:]
        self.n = _step_batch(engine)
        self.parts = math.ceil(self.n / (engine.batch_size or self.n))
        self.images = _noise(self.n, network.backbone.input_size)
        self.labels = torch.arange(self.n, device=engine.device) % 2
        self.head = nn.LazyLinear(2).to(engine.device)
        self.optimizer = adamw([p for stage in self.learning for p in stage.parameters()], engine, lr=1e-6)
        self.generator = torch.Generator().manual_seed(0)
        self.fast = FastStages(self.learning, engine)

    def take(self) -> None:
        """Take a step; where memory does not suffice, in more and smaller parts from then on."""
        _, self.parts = halving(self._accumulate, self.n, self.parts)
        self.optimizer.step()

    def _accumulate(self, parts: int) -> None:
        self.optimizer.zero_grad()  # of the step before, or of a try that failed half way
        for images, labels in zip(self.images.chunk(parts), self.labels.chunk(parts), strict=True):
            scores = self._forward(images)
            self.spare.check()
            torch.autograd.backward(nn.functional.cross_entropy(scores.float(), labels))

    def _forward(self, images: Tensor) -> Tensor:
        backbone = self.network.backbone
        inputs = normalise(to_device(images, self.engine.device), backbone.mean, backbone.std)
        x = augment(inputs, _POLICY, self.generator).contiguous(memory_format=torch.channels_last)
        with self.engine.autocast():
            with torch.no_grad():
                for stage in self.spare.bounded(self.frozen):
                    x = stage(x)
            self.fast.see(x)
            for stage in self.spare.bounded(self.learning):
                x = stage(x)
            scores: Tensor = self.head(pool_stage(self.network, x, self.cut, "mean").mean)
        return scores


def _step_batch(engine: Engine) -> int:
    return _STEP_BATCH if engine.kind == "cpu" else _GPU_STEP_BATCH


def _noise(n: int, size: int) -> Tensor:
    """Return n pictures to time with, uint8 (n, size, size, 3); torch's own generator is left as it is."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=generator)


def _fastest(work: Callable[[], Any], engine: Engine, repeats: int = _REPEATS, spare: SpareTime = UNLIMITED) -> float:
    """Return the fastest of `repeats` runs after one that warms up, of one where they take long.

    Other load only ever slows a run. Raises LateError where there is no time for a run.
    """
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) <= repeats and sum(seconds) < _LONG):
        spare.check()
        start = time.perf_counter()
        work()
        if engine.device != "cpu":
            torch.accelerator.synchronize(torch.device(engine.device))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def machine(network: Network, engine: Engine) -> dict[str, Any]:
    """Return what a measured speed depends on."""
    device = torch.cuda.get_device_name(engine.device) if engine.kind == "cuda" else platform.processor()
    return {
        "backbone": network.name,
        "weights": network.weights.identity,
        "size": network.backbone.input_size,
        "engine": engine.name,
        "threads": torch.get_num_threads(),
        "repeats": _REPEATS,
        "machine": [platform.node(), platform.machine(), device],
        "torch": torch.__version__,
    }


def decode_seconds(pictures: Sequence[Picture], how: Preprocessing, store: PixelStore, folder: Path) -> float:
    """Return the seconds per picture of reading and resizing, by as many threads as there are, from disk if known.

    What is decoded for it, and was not before, is kept in `store`.
    """
    some = list(pictures[:: max(1, len(pictures) // _BATCH)])[:_BATCH]

    def measure() -> float:
        start = time.perf_counter()
        for batch, images in batches(some, how, len(some), threads=store.threads):
            store.keep(batch, how, images.numpy())
        return (time.perf_counter() - start) / len(some)

    pictures_timed = [picture.sha256 for picture in some]
    key = {
        "what": "decode",
        "node": platform.node(),
        "threads": store.threads,
        **asdict(how),
        "pictures": pictures_timed,
    }
    return remember(folder, key, measure, number)
