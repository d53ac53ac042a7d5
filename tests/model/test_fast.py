"""Computed faster, a model says the same; what cannot compute it, or says something else, is not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_backbone import tiny_network
from tiny_models import member

from automl_tl.data.decode import Preprocessing
from automl_tl.features.runtimes import installed_openvino
from automl_tl.learning.tunable import copy_network
from automl_tl.model import fast as module
from automl_tl.model.fast import FastModel, fast
from automl_tl.model.model import Model

HOW, PADDED = Preprocessing(32, "squash"), Preprocessing(32, "pad")
PICTURES = torch.randint(0, 256, (37, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGES = {HOW: PICTURES, PADDED: PICTURES.flip(1)}
ways = pytest.mark.parametrize(
    "runtime",
    [
        "folded",
        pytest.param(
            "OpenVINO",
            marks=pytest.mark.skipif(not installed_openvino(), reason="the extra openvino is not installed"),
        ),
    ],
)


@pytest.fixture
def model() -> Model:
    """Return two members that share their first stages, and a third one that is prepared otherwise."""
    network = tiny_network()
    learned = copy_network(network)
    with torch.no_grad():
        for parameter in learned.stages[2].parameters():
            parameter.add_(0.25)
    members = (
        replace(member(network, cuts=(1, 3), pooling="mean+std"), weight=0.5),
        replace(member(learned, cuts=(3,), pooling="mean", seed=1), weight=0.3),
        replace(member(network, cuts=(2,), pooling="mean", seed=2, fit="pad"), weight=0.2),
    )
    return Model(members, ("a", "b", "c"), 0.7, "squash")


def test_where_a_short_format_overflows_the_model_itself_answers(model: Model) -> None:
    def overflowing(images: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.full((37, 3), torch.inf), torch.zeros(37, 4)) for _ in model.members]

    quick = FastModel(model, overflowing, "float16")
    np.testing.assert_array_equal(quick.answer(IMAGES).probabilities, model.answer(IMAGES).probabilities)


@ways
def test_the_answers_are_the_models(model: Model, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed_openvino", lambda: "2026" if runtime == "OpenVINO" else "")
    quick = fast(model)
    assert isinstance(quick, FastModel)
    assert runtime in quick.how
    assert (quick.classes, quick.preprocessings) == (model.classes, model.preprocessings)
    ours, theirs = quick.answer(IMAGES), model.answer(IMAGES)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=2e-2)
    assert np.mean(ours.probabilities.argmax(1) == theirs.probabilities.argmax(1)) > 0.9


def test_what_says_something_else_is_not_used(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(exact: Model) -> FastModel:
        return FastModel(exact, lambda images: [(-5 * s, e) for s, e in module.forward(exact.members, images)], "haste")

    monkeypatch.setattr(module, "_by_openvino", wrong)
    monkeypatch.setattr(module, "_by_folding", wrong)
    quick = fast(model)
    assert quick.how == "torch, as without --fast"
    np.testing.assert_array_equal(quick.answer(IMAGES).probabilities, model.answer(IMAGES).probabilities)


def test_what_answers_with_no_numbers_is_not_used(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As float16 may where a network's values are beyond its range."""

    def overflowing(exact: Model) -> FastModel:
        return FastModel(exact, lambda images: [(s * np.nan, e) for s, e in module.forward(exact.members, images)], "")

    monkeypatch.setattr(module, "_by_openvino", overflowing)
    monkeypatch.setattr(module, "_by_folding", overflowing)
    assert fast(model).how == "torch, as without --fast"
