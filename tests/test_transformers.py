"""Vision transformers through the whole product, from local files of random weights: they prove the plumbing alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from generated_pictures import MakePictures
from safetensors.torch import save_file

import automl_tl
from automl_tl.learning.configuration import Configuration

EPOCHS = 5
DECAY = {"vit_tiny_patch16_224": 0.65, "swin_tiny_patch4_window7_224": 0.8 ** (13 / 5)}
"""Layer decay by architecture."""


@pytest.fixture(params=DECAY)
def arch(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def asked(arch: str, tmp_path: Path) -> dict[str, Any]:
    """Return what names the backbone and its local file."""
    file = tmp_path / f"{arch}.safetensors"
    save_file(timm.create_model(arch, pretrained=False).state_dict(), file)
    name = f"timm:{arch}"
    return {"backbones": [name], "weights": {name: file}, "device": "cpu"}


@pytest.fixture
def folder(make_pictures: MakePictures) -> Path:
    return make_pictures(classes=("apple", "leaf"), per_class=8, size=(224, 224))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: EPOCHS)


def check_bundle(bundle: Path, folder: Path) -> None:
    """A bundle loads without the file of weights, and predicts every picture the same way twice."""
    files = sorted(folder.rglob("*.png"))
    answers = [[one.probabilities for one in automl_tl.load(bundle, "cpu").predict(files)] for _ in range(2)]
    np.testing.assert_allclose(np.sum(answers[0], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(*answers, atol=1e-6)


@pytest.mark.slow
def test_the_whole_way_of_a_transformer(arch: str, asked: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    recommended = automl_tl.recommend(folder, **asked)
    assert recommended.domain.backbone == f"timm:{arch}"
    assert recommended.domain.measure == "proxy"  # neither BatchNorm nor a reference
    poolings = {candidate.source.pooling for candidate in recommended.probe}
    assert {"mean", "mean+std", "grid"} <= poolings
    assert ("mean+patches" in poolings) == arch.startswith("vit")

    found = automl_tl.search(folder, trials=1, strategies=["fine_tuning"], out=tmp_path / "run", **asked)
    tuned = found.table[(found.table["kind"] == "trial") & (found.table["state"] == "complete")]
    assert set(tuned["strategy"]) == {"fine_tuning"}
    assert "param.batchnorm" not in tuned or tuned["param.batchnorm"].isna().all()
    assert found.best.strategy == "fine_tuning"
    assert found.best.tuned.layer_decay == pytest.approx(DECAY[arch])
    assert tuned["param.lr_ratio"].max() == pytest.approx(20)  # the published 5e-5
    check_bundle(found.bundle, folder)

    trained = automl_tl.train(folder, strategy="fine_tuning", out=tmp_path / "one", **asked)
    assert trained.configuration.tuned.layer_decay == pytest.approx(DECAY[arch])
    check_bundle(trained.bundle, folder)
    manifest = json.loads((trained.bundle / "bundle.json").read_text("utf-8"))
    (member,) = manifest["configuration"]["members"]
    assert Configuration.from_dict(member) == trained.configuration


@pytest.mark.slow
def test_cutmix_and_the_class_token_train(arch: str, asked: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    pooling = "mean+patches" if arch.startswith("vit") else "grid"
    trained = automl_tl.train(
        folder, strategy="fine_tuning", pooling=pooling, epochs=1, cutmix=1.0, out=tmp_path / "run", **asked
    )
    assert np.isfinite([epoch.loss for epoch in trained.history]).all()
    check_bundle(trained.bundle, folder)
