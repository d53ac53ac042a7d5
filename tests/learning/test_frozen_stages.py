"""Whoever runs the stages that do not learn, training sees the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from trainable import CPU, STRONG, make_cache, noise, tiny_network, token_network

from automl_tl.backbones.stages import Network, normalise, pool_stage
from automl_tl.errors import EngineError
from automl_tl.features.engine import Engine
from automl_tl.features.runtimes import installed_openvino
from automl_tl.learning import frozen_stages as module
from automl_tl.learning.frozen_stages import WORTH_COMPILING, Run, frozen_stages, is_compiled

OPENVINO = replace(CPU, runtime="openvino")
needs_openvino = pytest.mark.skipif(not installed_openvino(), reason="the extra openvino is not installed")
N = 19
"""More than a graph's pictures, and no multiple of them."""


def inputs(network: Network) -> Tensor:
    return normalise(torch.from_numpy(noise(N)), network.backbone.mean, network.backbone.std)


def stages(network: Network, engine: Engine = OPENVINO, n: int = WORTH_COMPILING) -> Run:
    return frozen_stages(network, 2, (1, 2), "mean+std", engine, n)


@pytest.mark.parametrize("engine", [CPU, pytest.param(OPENVINO, marks=needs_openvino)], ids=lambda one: one.name)
@pytest.mark.parametrize("make", [tiny_network, token_network])
def test_the_output_and_what_is_pooled_are_the_networks(engine: Engine, make: Any) -> None:
    network = make()
    x, expected = inputs(network), list[Tensor]()
    output, *pooled = stages(network, engine)(x)
    with torch.no_grad():
        for number, stage in enumerate(network.stages[:2], 1):
            x = stage(x)
            expected.append(pool_stage(network, x, number, "mean+std").columns("mean+std"))
    torch.testing.assert_close([output, *pooled], [x, *expected], rtol=1e-4, atol=1e-4)
    assert output.ndim == 3 or output.is_contiguous(memory_format=torch.channels_last)
    assert not output.requires_grad


@pytest.mark.parametrize(("engine", "n"), [(CPU, 10**6), (OPENVINO, WORTH_COMPILING - 1)])
def test_no_graph_is_made_for_few_pictures_or_without_openvino(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, n: int
) -> None:
    monkeypatch.setattr(module, "OpenVinoGraph", pytest.fail)
    network = tiny_network()
    assert not is_compiled(engine.runtime, n)
    assert len(stages(network, engine, n)(inputs(network))) == 3


def test_torch_runs_what_openvino_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise EngineError("OpenVINO cannot run tiny")

    network = tiny_network()
    expected = stages(network, CPU)(inputs(network))
    monkeypatch.setattr(module, "OpenVinoGraph", refuse)
    assert is_compiled(OPENVINO.runtime, WORTH_COMPILING)
    torch.testing.assert_close(stages(network)(inputs(network)), expected)


@needs_openvino
def test_variants_are_the_same_whoever_runs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_COMPILING", 1)
    network, pixels = tiny_network(), noise(N)
    caches = [
        make_cache(network, pixels, 2, tmp_path / engine.name, policy=STRONG, cuts=(1, 3), engine=engine)
        for engine in (CPU, OPENVINO)
    ]
    for variant in (0, 1):
        one, other = (cache.batch(variant, np.arange(N)) for cache in caches)
        torch.testing.assert_close(other.output, one.output, rtol=4e-3, atol=4e-3)  # both rounded to half precision
        torch.testing.assert_close(other.pooled, one.pooled, rtol=1e-4, atol=1e-4)


@needs_openvino
def test_a_graph_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, made = tiny_network(), list[str]()
    real = module.OpenVinoGraph
    monkeypatch.setattr(module, "OpenVinoGraph", lambda *given, **how: (made.append(given[3]), real(*given, **how))[1])
    assert stages(network) is stages(network)
    assert len(made) == 1
