"""Features of several backbones: one that fails on these pictures is left out, and the others go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones import plugins
from automl_tl.errors import BackboneError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Picture
from automl_tl.lab import networks as module
from automl_tl.lab.extraction import extract_all, extract_each
from automl_tl.lab.networks import Bench, Overrides


class FailsLater(TinyBackbone):
    """Passes its preflight, and raises on a batch that is larger."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        built = super().build(pretrained=pretrained)
        built[0].register_forward_pre_hook(self._fail)
        return built

    def _fail(self, stage: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 2:
            raise RuntimeError("only two pictures, please")


@contextmanager
def silent(stage: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture
def pictures(make_pictures: MakePictures) -> list[Picture]:
    paths = sorted(make_pictures().rglob("*.png"))
    return [Picture(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    found = {"tiny": TinyBackbone(), "later": FailsLater(seed=1)}
    monkeypatch.setattr(module, "get_backbone", found.__getitem__)
    return Bench(Engine("cpu", "float32"), tmp_path / "cache", Overrides())


def run(bench: Bench, names: list[str], pictures: list[Picture], **more: Any) -> Any:
    return extract_all(bench, names, pictures, "squash", silent, **more)


def test_one_that_raises_on_a_later_batch_is_left_out(bench: Bench, pictures: list[Picture]) -> None:
    features, notes = run(bench, ["later", "tiny"], pictures)
    assert list(features) == ["tiny"]
    assert features["tiny"].matrix((3,)).shape == (len(pictures), 16)
    assert notes == (
        "later is left out: later could not run stage 1 of 3: it raised RuntimeError: only two pictures, please",
    )


def test_one_that_was_named_is_an_error(bench: Bench, pictures: list[Picture]) -> None:
    with pytest.raises(BackboneError, match=r"^later could not run stage 1 of 3"):
        run(bench, ["later", "tiny"], pictures, named=frozenset({"later"}))


def test_none_left_is_an_error(bench: Bench, pictures: list[Picture]) -> None:
    with pytest.raises(BackboneError, match="no backbone could compute features of these pictures: later is left out"):
        run(bench, ["later"], pictures)
    features, notes = extract_each(bench, ["later"], pictures, "squash", silent)
    assert features == {}
    assert len(notes) == 1


def test_strict_raises(bench: Bench, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.STRICT, "yes")
    with pytest.raises(BackboneError, match=r"^later could not run"):
        run(bench, ["later", "tiny"], pictures)
