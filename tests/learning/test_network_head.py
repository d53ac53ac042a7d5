from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussians import mixture
from torch import nn

from automl_tl.learning.classifiers import solve_classifier
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.network_head import NetworkHead

LAYERS = [{}, {"hidden": 16}, {"channels": 10}, {"hidden": 16, "channels": 10}]


@pytest.fixture
def solved() -> tuple[LinearHead, np.ndarray]:
    X, y = mixture(60, 12, 3)
    X[:, 4] = 7.0  # a column that does not vary has a scale of its own
    return solve_classifier("softmax", X, y, 3, 0.1), X


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("training", [False, True])
def test_a_solved_head_is_where_training_starts_whatever_is_added(
    solved: tuple[LinearHead, np.ndarray], layers: dict[str, int], training: bool
) -> None:
    head, X = solved
    module = NetworkHead.from_linear(head, **layers).train(training)
    features = torch.from_numpy(X)
    torch.testing.assert_close(module(features).detach(), torch.from_numpy(head.scores(X)), rtol=1e-5, atol=1e-5)
    assert torch.equal(module(features), NetworkHead.from_linear(head)(features))


def test_arrays_of_a_head_that_may_only_be_read_raise_no_warning(
    solved: tuple[LinearHead, np.ndarray], recwarn: pytest.WarningsRecorder
) -> None:
    for array in (solved[0].weight, solved[0].bias, solved[0].center, solved[0].scale):
        array.flags.writeable = False  # as what comes from Ray's memory
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        NetworkHead.from_linear(solved[0])
    finally:
        torch.set_warn_always(before)
    assert not [one for one in recwarn if "writable" in str(one.message)]


def test_the_convolution_block_changes_nothing_at_first_and_no_output_where_there_is_none() -> None:
    maps = torch.randn(2, 10, 4, 4)
    assert torch.equal(NetworkHead(10, 3, channels=10).refine(maps), maps)
    assert NetworkHead(10, 3).refine(maps) is maps


def test_gradients_reach_every_added_layer() -> None:
    """The last ones end in zeros, so the first ones get theirs from the second step on."""
    head = NetworkHead(10, 3, hidden=16, channels=10)
    optimizer = torch.optim.SGD(head.parameters(), 0.5)
    maps, y = torch.randn(12, 10, 4, 4), torch.arange(12) % 3

    def step() -> dict[str, float]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(head.refine(maps).mean((2, 3))), y).backward()
        gradients = {name: float(p.grad.abs().max()) for name, p in head.named_parameters() if p.grad is not None}
        optimizer.step()
        return gradients

    first = step()
    assert first["linear.weight"] > 0
    assert first["fully_connected.3.weight"] > 0
    assert first["convolution.4.weight"] > 0
    step()
    assert all(value > 0 for value in step().values())


def test_what_is_written_is_what_is_read() -> None:
    head = NetworkHead(10, 3, hidden=16, channels=10).eval()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    head.center.normal_()
    again = NetworkHead(10, 3, hidden=16, channels=10).eval()
    again.load_state_dict(head.state_dict())
    maps = torch.randn(4, 10, 3, 3)
    assert torch.equal(*(h(h.refine(maps).mean((2, 3))) for h in (head, again)))


def test_standardisation_is_no_parameter_and_stays() -> None:
    names = {name for name, _ in NetworkHead(4, 2, hidden=3).named_parameters()}
    assert not names & {"center", "scale"}
