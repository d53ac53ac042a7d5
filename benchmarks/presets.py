"""Choose the backbones of the presets `fast`, `balanced` and `best`, and write datasets_meta/presets.csv.

    python benchmarks/presets.py TABLES

TABLES is a folder with files of timm's `results/` (Apache-2.0), as for `backbones_table.py`, whose table of published
facts this filters. Speeds are pictures per second, of one picture at a time on a laptop's CPU (i7-12700H) and of
batches on a GPU (RTX 4090, mixed precision): both are published, nothing stands in for them. Nothing is downloaded;
what could be chosen is built with random weights, to leave out networks that the plugin cannot take apart.

A preset takes what is no slower than `FLOORS` says. Of that it takes the most accurate on the front of ImageNet
accuracy against speed, each of another family, as networks of one family err alike; and the best one that was trained
without labels, if one is fast enough. That one stands aside from the front: the others were trained on ImageNet's
labels, so ImageNet accuracy flatters them.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pandas as pd
from automl_tl_timm import family
from automl_tl_timm.catalogue import Entry, entries
from backbones_table import CPU, GPU, TOP1, prior_table

FILE = Path(__file__).resolve().parents[1] / "datasets_meta" / "presets.csv"
SPEEDS = {"cpu": "cpu_pictures_per_s", "cuda": "gpu_pictures_per_s"}
YARDSTICK = "efficientnet_lite2"
"""The slowest bundled backbone."""
FLOORS = {"fast": 1.0, "balanced": 1 / 3, "best": 1 / 20}
"""The least speed, as a share of the yardstick's."""
SUPERVISED = 3
"""Backbones of a preset that were trained with labels, each of another family."""
EQUAL = 0.2
"""Points of top-1 that are noise: the standard error on 50,000 pictures is about 0.16."""
OPEN = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
"""Licences that ask for no consent and allow any use: DINOv3 is gated, ConvNeXt V2 and MAE are non-commercial."""
LEAST_STAGES = 4
LINEAR = {
    # ImageNet top-1, per cent, of a linear classifier on frozen features: the authors' own, at 224 pixels, from the
    # README of facebookresearch/dino and facebookresearch/dinov2
    "vit_small_patch16_224.dino": 77.0,
    "vit_small_patch8_224.dino": 79.7,
    "vit_base_patch16_224.dino": 78.2,
    "vit_base_patch8_224.dino": 80.1,
    "vit_small_patch14_dinov2.lvd142m": 81.1,
    "vit_base_patch14_dinov2.lvd142m": 84.5,
    "vit_large_patch14_dinov2.lvd142m": 86.3,
    "vit_giant_patch14_dinov2.lvd142m": 86.5,
    "vit_small_patch14_reg4_dinov2.lvd142m": 80.9,
    "vit_base_patch14_reg4_dinov2.lvd142m": 84.6,
    "vit_large_patch14_reg4_dinov2.lvd142m": 86.7,
    "vit_giant_patch14_reg4_dinov2.lvd142m": 87.1,
}


def main(tables: Path) -> None:
    known = list(entries().values())
    top1 = pd.read_csv(tables / TOP1, thousands=",")
    cpu, gpu = pd.read_csv(tables / CPU), pd.read_csv(tables / GPU)
    published = prior_table(known, top1, cpu, gpu).set_index("name")
    candidates = usable(published, {one.name: one for one in known})
    parts = [preset(name, device, candidates, published) for name in FLOORS for device in SPEEDS]
    table = pd.concat(parts, ignore_index=True)
    table.to_csv(FILE, index=False, float_format="%.6g", lineterminator="\n")
    print(table.to_string())


def usable(published: pd.DataFrame, known: dict[str, Entry]) -> pd.DataFrame:
    """Return the rows of timm's own repositories under an open licence, with `kind`, `family` and `source`."""
    rows = published[published.index.str.startswith("timm:") & published["licence"].isin(OPEN)].copy()
    arch = rows.index.str.removeprefix("timm:").str.partition(".").get_level_values(0)
    full = arch + "." + rows["tag"]
    rows["source"] = [known[name].source for name in full]
    rows["top1"] = full.map(LINEAR).fillna(rows["top1"])
    rows["kind"] = ["self-supervised" if name in LINEAR else "supervised" for name in full]
    rows["arch"] = arch
    rows["family"] = [re.match("[a-z]+", name)[0] for name in arch]
    real = rows["source"].str.startswith("timm/") & (rows["family"] != "test")  # timm's own test networks
    return rows[real].dropna(subset=["top1"]).rename_axis("backbone").reset_index()


def preset(name: str, device: str, candidates: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    speed = SPEEDS[device]
    least = FLOORS[name] * published.loc[YARDSTICK, speed]
    enough = candidates[candidates[speed] >= least]
    labelled = front(enough[enough["kind"] == "supervised"], speed)[::-1].drop_duplicates("family")
    unlabelled = front(enough[enough["kind"] == "self-supervised"], speed)[::-1]
    chosen = pd.concat([labelled.head(SUPERVISED), unlabelled.head(1)])
    return pd.DataFrame(
        {
            "name": name,
            "device": device,
            "backbone": chosen["backbone"],
            "kind": chosen["kind"],
            "top1": chosen["top1"],
            "pictures_per_s": chosen[speed],
            "gmacs": chosen["gmacs"],
            "params_millions": chosen["params_millions"],
            "download_mb": 4 * chosen["params_millions"],  # float32
            "licence": chosen["licence"],
            "source": chosen["source"],
        }
    )


def front(rows: pd.DataFrame, speed: str) -> pd.DataFrame:
    """Return the rows that come apart in stages and that none as fast matches in accuracy; fastest first."""
    best, kept = float("-inf"), []
    for index, row in rows.sort_values([speed, "top1", "backbone"], ascending=[False, False, True]).iterrows():
        if row["top1"] > best + EQUAL and n_stages(row["arch"]) >= LEAST_STAGES:
            best = row["top1"]
            kept.append(index)
    return rows.loc[kept]


@cache
def n_stages(arch: str) -> int:
    backbone = family.get(arch)
    return len(backbone.stages(backbone.build(pretrained=False)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
