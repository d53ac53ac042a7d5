"""Whatever computes them, the statistics of frozen networks are the same within a stated tolerance."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_backbone import TinyBackbone, tiny_network
from token_backbone import TokenBackbone
from torch import nn

from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import EngineError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import statistics
from automl_tl.features.runtimes import Folded, installed_openvino, prepare
from automl_tl.learning.activations import frozen_stages
from automl_tl.learning.problem import Problem
from automl_tl.learning.screen import ridge_path

DEMO = Path(__file__).resolve().parents[2] / "datasets_meta" / "demo"
EAGER = Engine("cpu", "float32")
FOLDED = Engine("cpu", "float32", runtime="folded")
OPENVINO = Engine("cpu", "float32", runtime="openvino")
HALF = Engine("cpu", "bfloat16", runtime="openvino")
needs_openvino = pytest.mark.skipif(not installed_openvino(), reason="the extra openvino is not installed")


def pictures(n: int, side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


@pytest.fixture(scope="module")
def trained() -> Network:
    """Return a tiny network whose BatchNorms do something; what was prepared for it is, for all tests."""
    network = tiny_network()
    generator = torch.Generator().manual_seed(1)
    for module in network.module.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight.data):
                values.uniform_(0.5, 2.0, generator=generator)
            for values in (module.running_mean, module.bias.data):
                values.uniform_(-0.5, 0.5, generator=generator)
    return network


def assert_alike(network: Network, engine: Engine, n: int, view: str = "plain") -> None:
    exact, other = (statistics(network, pictures(n), one, view) for one in (EAGER, engine))
    assert exact.keys() == other.keys()
    for name in exact:
        np.testing.assert_allclose(other[name], exact[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_folded_statistics_are_the_eager_ones(trained: Network) -> None:
    assert_alike(trained, FOLDED, 5)
    assert_alike(trained, FOLDED, 5, "hflip")


def test_folding_leaves_the_network_as_it_was_and_no_batchnorm_in_its_copy(trained: Network) -> None:
    before = {name: values.clone() for name, values in trained.module.state_dict().items()}
    copy = Folded(trained)
    assert all(torch.equal(values, before[name]) for name, values in trained.module.state_dict().items())
    assert not [m for m in copy._stages.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m for m in trained.module.modules() if isinstance(m, nn.BatchNorm2d)]


class ReadTwice(nn.Module):
    """A convolution whose output is read by a BatchNorm and beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        nn.init.constant_(self.norm.weight, 3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolution(x)
        return self.norm(x) + x


class Twice(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return nn.Sequential(ReadTwice())


def test_what_cannot_be_folded_is_not() -> None:
    with pytest.raises(EngineError, match="twice computes something else with its BatchNorms folded"):
        prepare(build_network("twice", Twice()), FOLDED)
    with pytest.raises(EngineError, match="tiny has no BatchNorm that follows a convolution"):
        prepare(tiny_network(batchnorm=False), FOLDED)


class Shared(nn.Module):
    """A convolution and a BatchNorm that run twice, as a plugin may share weights between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(2):
            x = self.norm(self.convolution(x))
        return x


class SharedTwice(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return nn.Sequential(Shared())


def test_what_runs_twice_is_no_pair_and_training_takes_its_stages_as_they_are() -> None:
    network = build_network("shared", SharedTwice())
    with pytest.raises(EngineError, match="shared has no BatchNorm that follows a convolution"):
        prepare(network, FOLDED)
    assert frozen_stages(network, 1, EAGER) == network.stages


@needs_openvino
def test_openvino_statistics_are_the_eager_ones(trained: Network) -> None:
    for n in (1, 32, 45):  # a part of its batch, one, more than one
        assert_alike(trained, OPENVINO, n)
    assert_alike(trained, OPENVINO, 3, "zoom")


@needs_openvino
def test_openvino_reads_tokens_and_a_class_token() -> None:
    assert_alike(build_network("tokens", TokenBackbone()), OPENVINO, 4)


@needs_openvino
def test_openvino_is_prepared_once_and_tells_nobody(trained: Network) -> None:
    assert prepare(trained, OPENVINO) is prepare(trained, OPENVINO)
    assert sys.modules["openvino_telemetry"] is None


class ByValue(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


class Branching(TinyBackbone):
    def build(self, *, pretrained: bool = True) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), ByValue())


@needs_openvino
def test_openvino_says_which_network_it_cannot_run() -> None:
    with pytest.raises(EngineError, match="OpenVINO cannot run branching: "):
        prepare(build_network("branching", Branching()), OPENVINO)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.features.runtimes.openvino.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install 'automl-tl\[openvino\]'"):
        prepare(tiny_network(), OPENVINO)


@given(
    device=st.sampled_from(["cpu", "cuda"]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    runtime=st.sampled_from(["folded", "openvino"]),
)
def test_every_engine_has_a_name_of_its_own(device: str, dtype: str, runtime: str) -> None:
    engine = Engine(device, dtype, runtime=runtime)  # type: ignore[arg-type]
    assert Engine(device, dtype).name == f"{device}-{dtype}"  # as before there were others: caches stay valid
    assert engine.name == f"{device}-{dtype}-{runtime}"
    assert Engine(device, dtype, learning="bfloat16").name == f"{device}-{dtype}-learning-bfloat16"
    assert engine.for_training.runtime == "eager"


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine",
    [FOLDED, pytest.param(OPENVINO, marks=needs_openvino), pytest.param(HALF, marks=needs_openvino)],
    ids=lambda engine: engine.name,
)
def test_the_demo_photos_have_equal_features_and_the_same_accuracy(engine: Engine) -> None:
    """In float32 equal to 4 digits; in bfloat16 a cosine of .99 at the end and of .95 everywhere, as by autocast."""
    network = build_network("efficientnet_lite0", get_backbone("efficientnet_lite0"))
    files = sorted(DEMO.rglob("*.jpg"))
    how = Preprocessing(224, "squash", "bicubic")
    images = torch.from_numpy(np.stack([preprocess(file, how) for file in files]))
    exact, other = (statistics(network, images, one) for one in (EAGER, engine))
    cosines = {name: cosine(exact[name], other[name]).min() for name in exact}
    last = f"{network.n_stages}/mean"
    least, at_the_end = (0.9999, 0.9999) if engine.dtype == "float32" else (0.95, 0.99)
    assert min(cosines.values()) >= least
    assert cosines[last] >= at_the_end
    classes, y = np.unique([file.parent.name for file in files], return_inverse=True)
    before, now = (screened(one[last], y, len(classes)) for one in (exact, other))
    assert abs(before - now) <= (0.0 if engine.dtype == "float32" else 2.0) / len(files) + 1e-9


def screened(X: np.ndarray, y: np.ndarray, n_classes: int) -> float:
    """Return the accuracy out of fold, at the best penalty."""
    problem = Problem(X, y, np.arange(len(y)) % 4, n_classes)
    return float(ridge_path(problem).value)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
