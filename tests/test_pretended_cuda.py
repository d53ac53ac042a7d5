"""No tensor of the host meets one of a CUDA device, and a GPU is waited for seldom: seen without a GPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from pretended_cuda import COPY, ENGINE, LOOK, UNPINNED, moved, pretended_cuda
from tiny_backbone import TinyBackbone, tiny_network
from tiny_models import member
from token_backbone import TokenBackbone
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError

from automl_tl.augment.policy import VIEWS, AugmentationPolicy
from automl_tl.backbones.stages import POOLINGS, Network, build_network
from automl_tl.domain.depth import depth_profile
from automl_tl.errors import BackboneError
from automl_tl.features.extract import statistics
from automl_tl.lab.timing import forward_seconds, latencies, stage_seconds
from automl_tl.learning import linear
from automl_tl.learning.classifiers import starting_head
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.heads import solve_path
from automl_tl.learning.problem import Problem
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.learning.spectrum import decompose
from automl_tl.learning.trainer import Material, Start, train
from automl_tl.model.forward import forward
from automl_tl.model.module import PictureClassifier

N = 24
Y = np.arange(N) % 3
EVERYTHING = AugmentationPolicy(0.5, 0.5, 30, (0.8, 1.3), 0.4, 0.4, 0.5)
STEP = Recipe(2, epochs=1, policy=EVERYTHING, label_smoothing=0.1, mixup=0.2, cutmix=0.2)


class Explicit(TinyBackbone):
    """Says what the tokens of its maps are, so that how these are laid out shows in their values alone."""

    def tokens(self, output: Tensor) -> Tensor:
        return output.flatten(2).transpose(1, 2)


@pytest.fixture(params=[TinyBackbone, Explicit, TokenBackbone], ids=["maps", "explicit", "tokens"])
def network(request: pytest.FixtureRequest) -> Network:
    return build_network("tiny", request.param())


def pixels(network: Network, n: int = N) -> np.ndarray:
    side = network.backbone.input_size
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


class Forgetful(nn.Module):
    """A stage that makes a tensor where nobody asked for it."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(x.shape[1], 1, 1)


# --- the device that is pretended -------------------------------------------------------------------


def test_two_devices_do_not_meet_and_what_is_read_is_written_down() -> None:
    with pretended_cuda() as device:
        there, here = torch.zeros(2, 3, device="cuda:1"), torch.zeros(2, 3)
        assert torch.equal(here + here, torch.zeros(2, 3))  # the host is real
        with pytest.raises(FakeTensorDeviceMismatchError, match="found at least two devices, cuda:1 and cpu"):
            there + here
        with pytest.raises(FakeTensorDeviceMismatchError, match="cuda:1 and cuda:0"):
            there + torch.zeros(2, 3, device="cuda")
        assert device.waits == []
        assert there.cpu().numpy().shape == (2, 3)
        assert float(there.sum()) == 1
        here.to("cuda:1")
        assert Counter(device.waits) == {COPY: 1, LOOK: 1, UNPINNED: 1}


def test_a_stage_that_makes_a_tensor_on_the_host_is_found() -> None:
    class Faulty(TinyBackbone):
        def stages(self, module: nn.Module) -> list[nn.Module]:
            first, *others = super().stages(module)
            return [nn.Sequential(first, Forgetful()), *others]

    network = build_network("faulty", Faulty())  # a CPU does not notice
    with pretended_cuda(), pytest.raises(BackboneError, match="found at least two devices, cuda:1 and cpu"):
        statistics(moved(network), torch.from_numpy(pixels(network)), ENGINE)


# --- what computes ----------------------------------------------------------------------------------


def test_a_network_is_built_there_with_its_kernels_channels_last(network: Network) -> None:
    with pretended_cuda():
        there = build_network(network.name, network.backbone, device=ENGINE.device)
        assert {one.device for one in there.module.state_dict().values()} == {torch.device(ENGINE.device)}
        kernels = [one for one in there.module.parameters() if one.ndim == 4]
        assert kernels
        assert all(one.is_contiguous(memory_format=torch.channels_last) for one in kernels)


@pytest.mark.parametrize("view", VIEWS)
def test_a_batch_of_features_is_copied_once(network: Network, view: str) -> None:
    with pretended_cuda() as device:
        there = moved(network)
        found = statistics(there, torch.from_numpy(pixels(network)), ENGINE, view)
    assert {name.partition("/")[0] for name in found} == {str(cut) for cut in range(1, network.n_stages + 1)}
    assert {len(values) for values in found.values()} == {N}
    assert device.waits == [COPY]


def test_the_moments_of_every_layer_stay_on_the_device() -> None:
    batches = [torch.from_numpy(pixels(tiny_network(), 8))] * 3
    with pretended_cuda() as device:
        profile = depth_profile(moved(tiny_network()), batches)
    n_layers, moments, kept = 3, 2, 1
    assert Counter(device.waits)[COPY] == n_layers * (moments + kept)  # however many batches
    assert len(profile.by_depth) == n_layers


@pytest.mark.parametrize("layers", ["linear", "fully_connected", "convolution"])
@pytest.mark.parametrize("balanced", [False, True])
def test_an_epoch_of_training_is_waited_for_once(tmp_path: Path, layers: str, balanced: bool) -> None:
    network = tiny_network()
    recipe = replace(STEP, unfrozen=3, layers=layers)
    assert _waits(network, recipe, "mean+std", tmp_path, balanced=balanced) == {COPY: 1}


@pytest.mark.parametrize("pooling", ["mean", "mean+std", "grid"])
def test_what_frozen_stages_put_out_is_copied_twice_a_batch(tmp_path: Path, network: Network, pooling: str) -> None:
    n_batches = 2
    assert _waits(network, replace(STEP, unfrozen=1), pooling, tmp_path) == {COPY: 2 * n_batches + 1}


def test_what_is_exported_and_what_is_timed_run_there(tmp_path: Path) -> None:
    one = member(pooling="mean+std", cuts=(1, 3))
    name = mock.patch("torch.cuda.get_device_name", return_value="pretended")
    with pretended_cuda(), mock.patch("torch.accelerator.synchronize"), name:
        network = moved(one.network)
        there = replace(one, network=network, head=one.head.to(ENGINE.device))
        pictures = torch.zeros(2, 40, 50, 3, dtype=torch.uint8).to(ENGINE.device)
        assert PictureClassifier([there], 1.0)(pictures).device == torch.device(ENGINE.device)
        assert len(latencies(network, ENGINE)) == network.n_stages
        assert len(stage_seconds(network, ENGINE, tmp_path)) == network.n_stages
        assert forward_seconds(network, ENGINE, tmp_path) > 0


def _waits(network: Network, recipe: Recipe, pooling: str, folder: Path, *, balanced: bool = False) -> Counter[str]:
    """Return what the host waits for in a training run that reads the last two stages."""
    last = network.n_stages
    cuts = (last - 1, last)
    times = 4 if pooling == "grid" else len(POOLINGS[pooling])
    width = times * sum(network.channels[cut - 1] for cut in cuts)
    features = np.random.default_rng(0).normal(size=(N, width)).astype(np.float32)
    configuration = Configuration("fine_tuning", "tiny", last, cuts, pooling, recipe, balanced)
    with pretended_cuda() as device:
        material = Material(moved(network), pixels(network), features, Y, 3, ENGINE, seed=0, scratch=folder)
        _, trained = train(material, configuration, np.arange(N), Start(l2=1.0))
    assert trained.epochs == 1
    return Counter(device.waits)


@pytest.mark.parametrize("columns", [40, 12, 4])
def test_the_screen_and_the_solved_heads_stay_on_the_device(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(linear, "SMALL", 0)  # small problems are solved by the CPU
    X, folds = np.random.default_rng(0).normal(size=(N, columns)).astype(np.float32), np.arange(N) // 3 % 4
    with pretended_cuda() as device:
        path = ridge_path(Problem(X, Y, folds, 3), device=ENGINE.device)
        assert Counter(device.waits)[COPY] == 1 + len(path.values)
        assert solve_ridge(X, Y, 3, 1.0, device=ENGINE.device).weight.shape == (3, columns)
        assert starting_head(X, Y, 3, 1.0, device=ENGINE.device).weight.shape == (3, columns)
        spectrum = decompose(X, ENGINE.device)
        assert spectrum.device == torch.device(ENGINE.device)
        assert len(solve_path("softmax", Problem(spectrum, Y, folds, 3), np.array([1.0])).oof) == N


def test_what_does_not_fit_there_is_solved_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "SMALL", 0)
    X = np.random.default_rng(0).normal(size=(N, 40)).astype(np.float32)
    with pretended_cuda():
        assert decompose(X, ENGINE.device).device.type == "cuda"
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1e3, 1e3))
        assert decompose(X, ENGINE.device).device.type == "cpu"


@pytest.mark.parametrize("pooling", ["mean", "mean+std", "grid"])
def test_a_batch_that_is_classified_is_copied_once(pooling: str) -> None:
    here = [member(pooling=pooling, cuts=(1, 3)), member(cuts=(2,), seed=1, hidden=8)]
    with pretended_cuda() as device:
        there = [replace(one, network=moved(one.network), head=one.head.to(ENGINE.device)) for one in here]
        device.waits.clear()
        images = {one.preprocessing: torch.from_numpy(pixels(one.network)) for one in there}
        results = forward(there, images)
    assert [(scores.shape, scores.device.type) for scores, _ in results] == [((N, 3), "cpu")] * 2
    assert device.waits == [COPY]
