"""A sound bundle, run and picture, which the tests of faults then damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from resealing import reseal
from tiny_models import CLASSES, member, register

from automl_tl.model.bundle import save_bundle
from automl_tl.model.model import Model

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")  # another process would not know the small backbone


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
