"""What trials share is computed once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from generated_pictures import MakePictures
from tasks import install, real_task
from tiny_backbone import TinyBackbone

from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.source import Source


def test_views_training_and_switches_of_backbones_decode_each_picture_once(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[tuple[str, Preprocessing]] = Counter()

    def counted(source: Source, how: Preprocessing) -> np.ndarray:
        decoded[source.name, how] += 1
        return preprocess(source, how)

    install(monkeypatch, tiny=TinyBackbone(), wide=TinyBackbone((8, 12, 16, 24, 32), seed=3))
    task = real_task(make_pictures(), tmp_path / "scratch", backbones=("tiny", "wide"))
    monkeypatch.setattr("automl_tl.features.pixels.preprocess", counted)
    for backbone in ("tiny", "wide", "tiny"):
        pixels = task.pixels(backbone)
        for view in ("hflip", "zoom"):
            task.matrix(backbone, (3,), "mean", view)
    assert set(decoded.values()) == {1}
    how = task.networks.preprocessing("tiny", "squash")
    expected = np.stack([preprocess(picture.readable, how) for picture in task.sample.pictures])
    assert np.array_equal(pixels[task.everything], expected)
