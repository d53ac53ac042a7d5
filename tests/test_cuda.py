"""On a CUDA device comes out what comes out on a CPU; `test_pretended_cuda.py` is what can be seen without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone
from tiny_models import register, trained_model
from token_backbone import TokenBackbone

import automl_tl
from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.stages import Network, build_network
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.features.extract import statistics
from automl_tl.learning import linear
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.classifiers import starting_head
from automl_tl.learning.finetune import Targets, Trained, finetune
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.problem import Problem
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.screen import ridge_path
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.model.bundle import load_bundle, save_bundle

pytestmark = pytest.mark.cuda
DEVICE = "cuda:0"
CPU, CUDA = Engine("cpu", "float32"), Engine(DEVICE, "float32")
N = 24
Y = np.arange(N) % 3
VARIED = AugmentationPolicy(0.5, 0.5, 30, (0.8, 1.3), 0.4, 0.4, 0.5)
BACKBONES = {"maps": TinyBackbone(), "tokens": TokenBackbone()}


def built(kind: str, engine: Engine) -> Network:
    return build_network(kind, BACKBONES[kind], device=engine.device)


def pixels(n: int = N) -> np.ndarray:
    """Return noise that is brighter in the colour of its class."""
    values = np.random.default_rng(0).integers(0, 150, (n, 32, 32, 3))
    values[np.arange(n), :, :, np.arange(n) % 3] += 100
    return values.astype(np.uint8)


@contextmanager
def never_waiting() -> Iterator[None]:
    """Let torch raise where the host would wait for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("kind", [*BACKBONES])
@pytest.mark.parametrize("view", ["plain", "zoom"])
def test_features_are_those_of_a_cpu(kind: str, view: str) -> None:
    images = torch.from_numpy(pixels())
    expected = statistics(built(kind, CPU), images, CPU, view)
    found = statistics(built(kind, CUDA), images, CUDA, view)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-2, atol=1e-2 * np.abs(values).max())
    short = statistics(built(kind, CUDA), images, choose_engine(DEVICE), view)
    for name, values in expected.items():
        cosine = (short[name] * values).sum() / np.linalg.norm(short[name]) / np.linalg.norm(values)
        assert cosine > 0.99, name


def trained(engine: Engine, folder: Path, kind: str, unfrozen: int, *, epochs: int = 2) -> tuple[Trained, np.ndarray]:
    network = built(kind, engine)
    cuts = (network.n_stages - 1, network.n_stages)
    recipe = Recipe(unfrozen, epochs=epochs, head_lr=1e-2, policy=VARIED, label_smoothing=0.1, mixup=0.2, cutmix=0.2)
    boundary = network.n_stages - unfrozen
    cache = ActivationCache(network, pixels(), boundary, cuts, "mean+std", VARIED, engine, seed=0, folder=folder)
    torch.manual_seed(0)
    head = NetworkHead(2 * sum(network.channels[cut - 1] for cut in cuts), 3)
    tunable = Tunable(copy_network(network), head.to(engine.device), cache)
    run = finetune(tunable, Targets(Y, np.array([1.0, 2.0, 1.0])), np.arange(N), recipe)
    return run, tunable.scores(np.arange(N))


@pytest.mark.parametrize("kind", [*BACKBONES])
@pytest.mark.parametrize("unfrozen", [1, 3])
def test_training_is_that_of_a_cpu(tmp_path: Path, kind: str, unfrozen: int) -> None:
    (expected, scores), (found, there) = (trained(engine, tmp_path, kind, unfrozen) for engine in (CPU, CUDA))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=2e-2)
    np.testing.assert_allclose(there, scores, rtol=0.1, atol=0.1 * np.abs(scores).max())


def test_training_learns_in_the_short_format(tmp_path: Path) -> None:
    run, scores = trained(choose_engine(DEVICE).for_training, tmp_path, "maps", 3, epochs=15)
    assert run.losses[-1] < run.losses[0]
    assert np.isfinite(scores).all()


def test_nothing_waits_within_a_training_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_tl.learning import finetune as module

    real, steps = module._Run._step, []

    def step(self: module._Run, rows: np.ndarray, variant: int) -> torch.Tensor:
        warm = len(steps) > 0  # the first step fills caches of CUDA's libraries
        steps.append(len(rows))
        with never_waiting() if warm else nullcontext():
            return real(self, rows, variant)

    monkeypatch.setattr(module._Run, "_step", step)
    trained(choose_engine(DEVICE), tmp_path, "maps", 3)
    assert len(steps) == 4


@pytest.mark.parametrize("columns", [60, 8])
def test_the_solvers_agree(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(linear, "SMALL", 0)  # small problems are solved by the CPU
    X, folds = np.random.default_rng(0).normal(size=(N, columns)).astype(np.float32), np.arange(N) // 3 % 4
    paths = [ridge_path(Problem(X, Y, folds, 3), device=device) for device in ("cpu", DEVICE)]
    assert paths[0].penalty == paths[1].penalty
    np.testing.assert_allclose(paths[1].oof, paths[0].oof, atol=1e-6)
    heads = [starting_head(X, Y, 3, 1.0, device=device) for device in ("cpu", DEVICE)]
    np.testing.assert_allclose(heads[1].weight, heads[0].weight, atol=1e-3)


def test_a_bundle_says_the_same_on_both(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    data = make_pictures()
    bundle = save_bundle(trained_model(data), tmp_path / "bundle")
    here, there = load_bundle(bundle, "cpu"), load_bundle(bundle, DEVICE)
    assert str(there.device) == DEVICE
    files = sorted(data.rglob("*.png"))
    np.testing.assert_allclose(there.probabilities(files), here.probabilities(files), atol=1e-3)
    again = load_bundle(save_bundle(there, tmp_path / "again"), "cpu")
    np.testing.assert_allclose(again.probabilities(files), here.probabilities(files), atol=1e-6)


def test_a_search_of_seconds(make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    data = make_pictures(per_class=14)
    result = automl_tl.search(data, trials=3, backbones=["tiny"], device=DEVICE, out=tmp_path / "run")
    assert (result.table["state"] == "complete").any()
    model = load_bundle(result.bundle, "cpu")
    assert {one.label for one in model.predict(data)} <= {"apple", "leaf", "sky"}


def test_a_network_keeps_its_kernels_channels_last() -> None:
    kernels = [one for one in built("maps", CUDA).module.parameters() if one.ndim == 4]
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in kernels)
