"""The loss of training beside torch's, and where the two must differ."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import one_hot

from automl_tl.learning.cross_entropy import CrossEntropy

SCORES = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3
SHARES = torch.softmax(torch.randn(12, 3, generator=torch.Generator().manual_seed(1)), dim=1)
WEIGHTS = torch.tensor([0.3, 1.0, 1.7])


@pytest.mark.parametrize("labels", [LABELS, SHARES], ids=["labels", "shares"])
@pytest.mark.parametrize(("smoothing", "weights"), [(0.0, None), (0.1, None), (0.0, WEIGHTS)])
def test_with_weights_or_smoothing_alone_it_is_torch_s(
    labels: torch.Tensor, smoothing: float, weights: torch.Tensor | None
) -> None:
    theirs = nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(CrossEntropy(smoothing, weights)(SCORES, labels), theirs(SCORES, labels))


def test_labels_and_shares_of_one_are_the_same() -> None:
    loss = CrossEntropy(0.1, WEIGHTS)
    torch.testing.assert_close(loss(SCORES, LABELS), loss(SCORES, one_hot(LABELS, 3).float()))


@given(st.integers(1, 12))
def test_batches_of_any_size_add_up_to_all_pictures(size: int) -> None:
    """So a rare class counts in an epoch as its weight says, in whichever batches its pictures are."""
    loss = CrossEntropy(0.1, WEIGHTS)
    parts = zip(SCORES.split(size), LABELS.split(size), strict=True)
    summed = sum(len(labels) * loss(scores, labels) for scores, labels in parts)
    torch.testing.assert_close(summed / len(LABELS), loss(SCORES, LABELS))


@given(st.floats(1.0, 1000.0), st.floats(0.0, 0.3), st.integers(2, 20))
def test_the_likeliest_answer_to_a_picture_is_its_own_class_however_rare_another_is(
    times: float, smoothing: float, classes: int
) -> None:
    """One common picture, learned by heart: what it ends at are the smoothed labels."""
    weights = torch.ones(classes)
    weights[-1] = times
    loss = CrossEntropy(smoothing, weights)
    target = torch.full((1, classes), smoothing / classes)
    target[0, 0] += 1 - smoothing
    scores = (target + 1e-9).log().requires_grad_()
    (slope,) = torch.autograd.grad(loss(scores, torch.tensor([0])), scores)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-5, rtol=0)
    assert scores.argmax() == 0
