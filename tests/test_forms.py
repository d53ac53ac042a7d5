"""The same 200 pictures in every form: one fingerprint, one recommendation, one cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forms_of_data import members, samples, write_parquet, write_tar, write_zip
from generated_pictures import write_pictures
from PIL import Image
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.backbones.stages import build_network
from automl_tl.data import Preprocessing, open_dataset, scan
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import pictures_of
from automl_tl.features.store import FeatureStore
from automl_tl.lab import considered, networks

CLASSES = ("apple", "leaf", "sky", "sun")
PER_CLASS = 50
FORMS = ("table", "zip", "tar", "Parquet", "Parquet files", "WebDataset", "shards", "frame")


@pytest.fixture(scope="module")
def backbone() -> Iterator[TinyBackbone]:
    """Let a small backbone be the only one."""
    tiny = TinyBackbone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "get_backbone", {"tiny": tiny}.__getitem__)
        patch.setattr(considered, "local_backbones", lambda: ["tiny"])
        yield tiny


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photos") / "set", CLASSES, PER_CLASS, (40, 32))


@pytest.fixture(scope="module")
def forms(folder: Path) -> dict[str, Any]:
    root, content = folder.parent, members(folder)
    frame = pd.DataFrame({"path": [str(folder / name) for name in content]})
    frame["label"] = [Path(name).parent.name for name in content]
    frame.to_csv(root / "table.csv", index=False)
    halves = dict(list(content.items())[::2]), dict(list(content.items())[1::2])
    (root / "shards").mkdir()
    for number, half in enumerate(halves):
        write_parquet(root / f"files/{number:05d}.parquet", half, group_rows=30)
        write_tar(root / f"shards/{number:06d}.tar", samples(half, 1000 * number))
    return {
        "table": root / "table.csv",
        "zip": write_zip(root / "a.zip", content),
        "tar": write_tar(root / "a.tar", content),
        "Parquet": write_parquet(root / "a.parquet", content),
        "Parquet files": root / "files",
        "WebDataset": write_tar(root / "samples.tar", samples(content)),
        "shards": root / "shards" / "{000000..000001}.tar",
        "frame": frame,
    }


@pytest.fixture(scope="module")
def of_folder(backbone: TinyBackbone, folder: Path, cache: Path) -> dict[str, Any]:
    return said(automl_tl.recommend(folder, cache_dir=cache))


def said(result: automl_tl.Recommendation) -> dict[str, Any]:
    """Return a recommendation without the path of its data, and without seconds, which are measured every time."""
    values = result.to_dict()
    for one in (values, *values["front"]):
        del one["seconds"]
    del values["dataset"]["path"]
    return values


def features(cache: Path) -> set[Path]:
    """Return the files of features that are kept."""
    return set((cache / "features").rglob("*.safetensors"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_one_fingerprint(form: str, forms: dict[str, Any], folder: Path) -> None:
    one, other = (scan(open_dataset(data), cache_dir=None)[0] for data in (forms[form], folder))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("form", ["table", "zip", "Parquet", "WebDataset"])
def test_every_form_is_recommended_the_same_from_one_cache(
    form: str, forms: dict[str, Any], of_folder: dict[str, Any], cache: Path
) -> None:
    kept = features(cache)
    assert said(automl_tl.recommend(forms[form], cache_dir=cache)) == of_folder
    assert features(cache) == kept


def test_arrays_and_pictures_of_pillow_share_one_cache(folder: Path, of_folder: dict[str, Any], cache: Path) -> None:
    files = sorted(folder.rglob("*.png"))
    images, labels = [Image.open(file) for file in files], [file.parent.name for file in files]
    first = said(automl_tl.recommend((images, labels), cache_dir=cache))
    kept = features(cache)
    assert said(automl_tl.recommend((np.stack(list(map(np.array, images))), labels), cache_dir=cache)) == first
    assert features(cache) == kept
    assert first["dataset"] == of_folder["dataset"]


def test_lossless_pictures_in_memory_have_the_features_of_their_files(
    backbone: TinyBackbone, folder: Path, tmp_path: Path
) -> None:
    way = Pass(build_network("tiny", backbone), Preprocessing(32), Engine("cpu", "float32"))
    files = sorted(folder.rglob("*.png"))
    data = (folder, ([Image.open(file) for file in files], [file.parent.name for file in files]))
    found = []
    for one in data:
        pictures = pictures_of(scan(open_dataset(one), cache_dir=None)[0].frame)
        found.append(extract(way, pictures, FeatureStore(tmp_path)).matrix([1, 3]))
    assert np.array_equal(*found)
