"""What pictures look like to a backbone: its own classifier's answers, counted; a faulty classifier is named."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones.stages import build_network
from automl_tl.domain import measure
from automl_tl.domain.looks_like import looks_like
from automl_tl.errors import BackboneError


class Labelled(TinyBackbone):
    labels = ("cat", "dog")

    def classifier(self, module: nn.Module) -> nn.Module:
        linear = nn.Linear(16, 3)
        nn.init.zeros_(linear.weight)
        linear.weight.data[:, :3] = linear.weight.new_tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        nn.init.zeros_(linear.bias)
        return linear


def embeddings(*answers: int) -> np.ndarray:
    return np.eye(16, dtype=np.float32)[list(answers)]


def test_answers_are_counted() -> None:
    network = build_network("tiny", Labelled())
    assert looks_like(network, embeddings(1, 1, 0, 1)) == (("dog", 0.75), ("cat", 0.25))
    assert looks_like(build_network("tiny", TinyBackbone()), embeddings(1)) == ()


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (embeddings(2), "IndexError: tuple index out of range"),
        (np.zeros((2, 5), np.float32), "RuntimeError: mat1 and mat2"),
    ],
)
def test_a_faulty_classifier_is_named(answers: np.ndarray, sentence: str) -> None:
    network = build_network("tiny", Labelled())
    with pytest.raises(BackboneError, match=f"^tiny could not say what pictures look like: it raised {sentence}"):
        looks_like(network, answers)


def test_what_it_cannot_say_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    network = build_network("tiny", Labelled())
    with caplog.at_level("WARNING", logger="automl_tl"):
        assert measure._looks_like(network, embeddings(2)) == ()
    assert "tiny could not say what pictures look like" in caplog.text
