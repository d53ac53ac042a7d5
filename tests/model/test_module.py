"""`Model.module()` is the model as one `nn.Module`."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tiny_backbone import TinyBackbone
from tiny_models import CLASSES, member, register

from automl_tl.backbones.stages import build_network
from automl_tl.model.model import Model


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture
def model() -> Model:
    network = build_network("tiny", TinyBackbone())
    first = member(network, cuts=(2, 3), pooling="grid", weight=0.25)
    return Model(
        (first, member(network, hidden=4, channels=16, weight=0.75, fit="pad", seed=1)), CLASSES, 2.0, "squash"
    )


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("shape", [(3, 32, 32, 3), (2, 40, 70, 3)])
def test_it_gives_the_models_probabilities(model: Model, shape: tuple[int, ...]) -> None:
    given = pictures(*shape)
    found = model.module()(given)
    assert found.dtype == torch.float32
    assert np.abs(found.detach().numpy() - model.probabilities(list(given.numpy()))).max() < 1e-4


def test_floating_point_pictures_are_from_0_to_1(model: Model) -> None:
    given = pictures(2, 32, 32, 3)
    assert torch.allclose(model.module()(given), model.module()(given.float() / 255), atol=1e-5)


def test_it_holds_each_shared_stage_once_and_nothing_else(model: Model) -> None:
    module = model.module()
    assert len(module.stages) == 3
    named = {id(parameter) for parameter in module.parameters()}
    own = [*model.members[0].network.module.parameters(), *(p for one in model.members for p in one.head.parameters())]
    assert named == {id(parameter) for parameter in own}
    assert not any(part.training for part in module.modules())


def test_gradients_reach_every_parameter_and_the_pixels(model: Model) -> None:
    module, given = model.module(), (pictures(2, 40, 32, 3).float() / 255).requires_grad_()
    module(given)[:, 0].log().sum().backward()
    assert given.grad is not None
    assert given.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_a_copy_is_a_model_of_its_own(model: Model) -> None:
    module, given = model.module(), pictures(2, 32, 32, 3)
    other = copy.deepcopy(module)
    before = module(given)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    assert torch.equal(module(given), before)
    assert not torch.allclose(other(given), before)
