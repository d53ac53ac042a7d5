"""What `recommend` says of real data sets and real weights beside the project; skipped where they are not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import automl_tl
from automl_tl.data.dataset import open_dataset
from automl_tl.recommender.recommendation import Recommendation

pytestmark = pytest.mark.slow

LITE = ("efficientnet_lite0",)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def some(data: Path, per_class: int, folder: Path) -> Path:
    """Write a table of the first training pictures of every class."""
    frame = open_dataset(data).frame
    frame = frame[frame["split"].isin(["", "train"])].sort_values("path").groupby("label").head(per_class)
    table = folder / "table.csv"
    frame[["path", "label"]].to_csv(table, index=False)
    return table


def recommend(data: Path, cache: Path, max_images: int = 150) -> Recommendation:
    return automl_tl.recommend(data, backbones=LITE, max_images=max_images, cache_dir=cache)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("clothing", "similar"),
        ("trashnet", "similar"),
        ("sign_digits", "different"),
        ("blood_wbc", "different"),
        ("omniglot_alphabets", "different"),
    ],
)
def test_the_domain_verdict_at_thirty_pictures_and_at_many(
    name: str, verdict: str, shared: Path, cache: Path, tmp_path: Path
) -> None:
    data = shared / "data" / name
    n_classes = len(open_dataset(data).classes)
    few = recommend(some(data, -(-30 // n_classes), tmp_path), cache)
    many = recommend(data, cache, max_images=300)
    assert few.domain.verdict == many.domain.verdict == verdict
    assert few.domain.distance == pytest.approx(many.domain.distance, abs=0.08)


def test_faces_are_no_task_for_the_last_cut(shared: Path, cache: Path, tmp_path: Path) -> None:
    """Pictures unlike ImageNet, and an earlier frozen cut is the better one."""
    result = recommend(some(shared / "data" / "faces_orl", 4, tmp_path), cache)
    assert result.domain.verdict == "different"
    assert max(result.frozen.source.cuts) < result.frozen.n_stages
    whole = next(c for c in result.probe if c.source.cuts == (9,) and c.source.pooling == "mean")
    assert result.frozen.accuracy >= whole.accuracy - whole.stderr


@pytest.mark.parametrize(
    ("name", "file", "options", "n_stages"),
    [
        ("timm:mobilenetv2_100", "mobilenetv2_100.safetensors", {}, None),
        (
            "timm:vgg16",
            "vgg16_features.safetensors",
            {"mean": tuple(v / 255 for v in (123.68, 116.779, 103.939)), "std": (1 / 255,) * 3},
            5,
        ),
    ],
)
def test_real_weights_from_a_local_file(
    name: str,
    file: str,
    options: dict[str, tuple[float, ...]],
    n_stages: int | None,
    shared: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    table = some(shared / "data" / "clothing", 8, tmp_path)
    result = automl_tl.recommend(
        table, backbones=(name,), weights={name: shared / "weights" / file}, cache_dir=cache, **options
    )
    assert result.frozen.backbone == name
    assert n_stages in (None, result.frozen.n_stages)
    assert result.frozen.accuracy > 0.35  # ten classes; random weights stay below
    # MobileNetV2 has BatchNorm, VGG16 neither that nor a reference for this file: a bundled backbone stands in.
    assert result.domain.measure == ("depth" if "mobilenet" in name else "proxy")
    assert result.domain.verdict == "similar"


def test_a_bundled_backbone_stands_in_for_vgg16_s_distance(shared: Path, cache: Path, tmp_path: Path) -> None:
    table = some(shared / "data" / "clothing", 4, tmp_path)
    result = automl_tl.recommend(
        table,
        backbones=("timm:vgg16", *LITE),
        weights={"timm:vgg16": shared / "weights" / "vgg16_features.safetensors"},
        cache_dir=cache,
    )
    domain = next(d for d in result.domains if d.backbone == "timm:vgg16")
    assert domain.measure == "proxy"
    assert "seen by efficientnet_lite0 (proxy)" in domain.reference
    assert domain.verdict == "similar"


def test_groups_take_the_flattery_out_of_omniglot(shared: Path, cache: Path, tmp_path: Path) -> None:
    """Characters of one drawer are related: with drawers as groups the probe expects less, and rightly so."""
    frame = open_dataset(some(shared / "data" / "omniglot_alphabets", 40, tmp_path)).frame[["path", "label"]]
    frame["drawer"] = frame["path"].str.extract(r"_(\d+)\.")
    table = tmp_path / "drawers.csv"
    frame.to_csv(table, index=False)
    frame_back = pd.read_csv(table, dtype=str)
    assert frame_back["drawer"].nunique() > 5
    plain = automl_tl.recommend(table, backbones=LITE, cache_dir=cache)
    grouped = automl_tl.recommend(table, backbones=LITE, cache_dir=cache, group_column="drawer")
    assert grouped.estimate.accuracy < plain.estimate.accuracy + 0.02
