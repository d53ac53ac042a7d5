"""Small trained models, and a small backbone that is registered as if its plugin were installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_backbone import TinyBackbone

from automl_tl.backbones import registry
from automl_tl.backbones.plugins import Plugin
from automl_tl.backbones.stages import Network, build_network
from automl_tl.data.decode import Preprocessing
from automl_tl.learning.network_head import NetworkHead
from automl_tl.model.decoding import decoded_batches
from automl_tl.model.forward import forward
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.model.novelty import measure_novelty

CLASSES = ("apple", "leaf", "sky")


def register(
    monkeypatch: pytest.MonkeyPatch,
    backbone: Any = None,
    *,
    name: str = "tiny",
    distribution: str = "tiny-plugin",
    version: str = "1.2",
) -> None:
    """Let `backbone` be the only plugin, of a distribution of that name and version."""
    plugin = Plugin(name, distribution, version, backbone=backbone or TinyBackbone())
    monkeypatch.setattr(registry, "load_plugins", lambda **_: {name: plugin})


@contextmanager
def tiny_alone() -> Iterator[None]:
    """Let a small backbone be the only one, without a preflight in another process."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
        yield


def member(
    network: Network | None = None,
    *,
    cuts: tuple[int, ...] = (3,),
    pooling: str = "mean",
    n_classes: int = 3,
    weight: float = 1.0,
    seed: int = 0,
    fit: str = "squash",
    **head: Any,
) -> Member:
    """Return a member whose head, all of it, is random."""
    network = network or build_network("tiny", TinyBackbone())
    times = {"mean": 1, "mean+std": 2, "mean+patches": 2, "grid": 4}[pooling]
    module = NetworkHead(sum(times * network.channels[cut - 1] for cut in cuts), n_classes, **head)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    how = Preprocessing(network.backbone.input_size, fit)
    return Member(network, cuts, pooling, module.eval(), "linear", how, weight)


def trained_model(pictures: Path, **more: Any) -> Model:
    """Return a model that knows the pictures of a folder of class folders by heart."""
    files = sorted(pictures.rglob("*.png"))
    classes = tuple(sorted({file.parent.name for file in files}))
    y = np.array([classes.index(file.parent.name) for file in files])
    one = member(pooling="mean+std", cuts=(1, 2, 3), n_classes=len(classes))
    features: list[torch.Tensor] = []
    hook = one.head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    batches = decoded_batches(files, [one.preprocessing])
    embeddings = [forward([one], batch.images)[0][1] for batch in batches]
    hook.remove()
    x = torch.cat(features).clone()
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1), 8 * torch.eye(len(classes))[y]).solution
    with torch.no_grad():
        one.head.linear.weight.copy_(solution[:-1].T)
        one.head.linear.bias.copy_(solution[-1])
    novelty = measure_novelty(torch.cat(embeddings).numpy(), np.arange(sum(map(len, embeddings))))
    return Model((one,), classes, 1.0, "squash", novelty, **more)
