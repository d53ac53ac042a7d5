"""A sound bundle, run and picture, which the tests of faults then damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generated_pictures import write_pictures
from resealing import reseal
from tiny_models import CLASSES, member, register

import automl_tl
from automl_tl.model.bundle import save_bundle
from automl_tl.model.model import Model

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures, and the run folder of a small search of them, to be copied before anything is changed in it."""
    data, out = write_pictures(tmp_path_factory.mktemp("pictures"), per_class=8), tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")  # another process would not know the small backbone
        automl_tl.search(data, out=out, trials=1, backbones=["tiny"], device="cpu")
    return data, out


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one small member, loaded without fault as long as nothing is changed in it."""
    return save_bundle(Model((member(),), CLASSES, 1.0, "squash"), tmp_path / "bundle")


@pytest.fixture
def edit(bundle: Path) -> Callable[[Change], None]:
    """Return what changes the manifest as somebody would who also makes the checksums fit."""

    def change_it(change: Change) -> None:
        values = json.loads((bundle / "bundle.json").read_text())
        change(values)
        (bundle / "bundle.json").write_text(json.dumps(values))
        reseal(bundle)

    return change_it
