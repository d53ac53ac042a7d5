"""What cannot be timed names its backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones.stages import build_network
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import BackboneError
from automl_tl.features.engine import Engine
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore
from automl_tl.lab import timing
from automl_tl.lab.timing import (
    STEP_OVER_FORWARD,
    TrainingSpeed,
    decode_seconds,
    estimated_speed,
    forward_seconds,
    training_speed,
    whole_step_seconds,
)
from automl_tl.spare_time import LateError, SpareTime


class Detached(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            raise NotImplementedError("inference only")
        return x


class InferenceOnly(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return super().build(pretrained=pretrained).append(Detached())  # type: ignore[operator]


@pytest.mark.parametrize(("takes", "runs"), [(0.1, 4), (0.7, 3), (5.0, 2)])
def test_what_takes_long_is_not_timed_again_and_again(monkeypatch: pytest.MonkeyPatch, takes: float, runs: int) -> None:
    clock = iter(np.arange(0.0, 1000.0, takes))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    done: list[int] = []
    assert timing._fastest(lambda: done.append(1), Engine("cpu", "float32")) == pytest.approx(takes)
    assert len(done) == runs


@pytest.mark.parametrize("checks", range(1, 5))
def test_a_step_is_broken_off_where_its_time_ends(tmp_path: Path, checks: int) -> None:
    """Beside other load one step takes as long as all that is planned."""

    class Ending(SpareTime):
        def check(self) -> None:
            if not left:
                raise LateError
            left.pop()

    left = list(range(checks))
    network = build_network("tiny", TinyBackbone())
    with pytest.raises(LateError):
        whole_step_seconds(network, Engine("cpu", "float32"), tmp_path, Ending())
    assert list(tmp_path.rglob("*.json")) == []


def test_frozen_stages_are_passed_once_for_every_variant_that_can_be_kept() -> None:
    speed = TrainingSpeed(suffix=3.0, whole=6.0, unfrozen=1, frozen=2.0, kept_bytes=1000)
    assert speed.tuning(10, 12) == 10 * (12 * 1.0 + 4 * 2.0)
    assert speed.tuning(10**7, 12) == 10**7 * 12 * 3.0  # too many to keep any


def test_a_training_speed_holds_together(tmp_path: Path) -> None:
    network = build_network("tiny", TinyBackbone())
    speed = training_speed(network, Engine("cpu", "float32"), 3, 1, tmp_path)
    assert 0 < speed.frozen <= speed.suffix
    assert speed.kept_bytes == 2 * network.sizes[1]
    everything = training_speed(network, Engine("cpu", "float32"), 3, 3, tmp_path)
    assert (everything.frozen, everything.kept_bytes) == (0, 0)
    guessed = estimated_speed(0.03, network, 3, 1)
    assert guessed.frozen == pytest.approx(0.02)
    assert guessed.suffix == pytest.approx(0.02 + STEP_OVER_FORWARD * 0.01)


def test_a_backbone_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    network = build_network("tiny", InferenceOnly())
    sentence = "^tiny could not be trained for a step: it raised NotImplementedError: inference only$"
    with pytest.raises(BackboneError, match=sentence):
        training_speed(network, Engine("cpu", "float32"), 4, 2, tmp_path)


class Hungry(nn.Module):
    """Has memory for a few pictures where something is learned."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


class Large(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return super().build(pretrained=pretrained).append(Hungry())  # type: ignore[operator]


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_step_that_does_not_fit_into_memory_is_timed_in_parts(tmp_path: Path, batch_size: int | None) -> None:
    engine = Engine("cpu", "float32", batch_size=batch_size)
    assert training_speed(build_network("tiny", Large()), engine, 4, 4, tmp_path).suffix > 0


def test_a_forward_pass_of_other_pictures_at_once_is_timed_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, engine = build_network("tiny", TinyBackbone()), Engine("cpu", "float32")
    timed: list[int] = []
    monkeypatch.setattr(timing, "statistics", lambda network, images, engine: timed.append(len(images)))
    for at_once in (16, 16, 4):
        monkeypatch.setattr(timing, "forward_batch", lambda network, engine, n=at_once: n)
        forward_seconds(network, engine, tmp_path)
    assert list(dict.fromkeys(timed)) == [16, 4]


def test_decoding_by_other_threads_is_timed_on_its_own(
    tmp_path: Path, make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [Picture(str(file), file.name) for file in sorted(make_pictures(per_class=1).rglob("*.png"))]
    times: list[int | None] = []
    monkeypatch.setattr(timing, "batches", lambda *args, threads: times.append(threads) or ())
    for threads in (1, 1, 4):
        decode_seconds(pictures, Preprocessing(32), PixelStore(threads=threads), tmp_path)
    assert times == [1, 4]


def test_timing_leaves_torch_s_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    forward_seconds(build_network("tiny", TinyBackbone()), Engine("cpu", "float32"), tmp_path)
    torch.testing.assert_close(torch.rand(2), expected)
