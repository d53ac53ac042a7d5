"""What is published about backbones before anything is measured: `datasets_meta/backbones.csv`."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from automl_tl.resources import meta_path


def static_prior() -> pd.DataFrame:
    """Return one row per backbone, indexed by its name here ("efficientnet_lite0", "timm:resnet50").

    Columns, NaN where nothing is published: `top1` (ImageNet, per cent), `params_millions`, `gmacs` (for one
    picture of `input_size`), `cpu_pictures_per_s` (one picture at a time on a laptop's i7-12700H),
    `gpu_pictures_per_s` (RTX 4090, mixed precision), `input_size` (pixels), `pretrained_on`, `tag` (timm's name
    of the weights), `licence`. Speeds compare backbones; they are not those of this machine.
    """
    return _read().copy()


@lru_cache(maxsize=1)
def _read() -> pd.DataFrame:
    texts = {"tag": str, "licence": str, "pretrained_on": str}
    table = pd.read_csv(meta_path("backbones.csv"), dtype=texts, index_col="name")
    return table.fillna(dict.fromkeys(texts, ""))
