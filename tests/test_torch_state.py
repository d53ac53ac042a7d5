"""What torch keeps for everybody: whatever a caller or a plugin has set, training works and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl
from automl_tl.torch_state import kept_state, usual_state


@contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def of_torch() -> tuple[bool, bool, torch.dtype]:
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode, doubles])
def test_training_works_in_whatever_state_a_program_is(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    state: Callable[[], AbstractContextManager[Any]],
) -> None:  # fmt: skip
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    with state():
        before = of_torch()
        result = automl_tl.train(
            make_pictures(per_class=6), strategy="fine_tuning", unfreeze=1, epochs=2, device="cpu", out=tmp_path / "run"
        )
        assert of_torch() == before
    assert result.configuration.strategy == "fine_tuning"


class Leaking(TinyBackbone):
    """A backbone that turns gradients off for everybody, and numbers into doubles."""

    def build(self, *, pretrained: bool = True) -> Any:
        module = super().build(pretrained=pretrained)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return module


def test_a_plugin_that_changes_it_changes_nothing(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Leaking())
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    before = of_torch()
    automl_tl.train(
        make_pictures(per_class=6), strategy="fine_tuning", unfreeze=1, epochs=2, device="cpu", out=tmp_path / "run"
    )
    assert of_torch() == before


def test_it_is_put_back_after_an_error() -> None:
    before = of_torch()

    def fail() -> None:
        with kept_state():
            torch.set_grad_enabled(False)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert of_torch() == before
    with torch.no_grad(), usual_state():
        assert of_torch() == (True, False, torch.float32)
    assert of_torch() == before
