"""Which pictures a network was trained on, read from timm's tag."""

from __future__ import annotations

DATA_SETS = {
    "in1k": "imagenet-1k",
    "in12k": "imagenet-12k",
    "in21k": "imagenet-21k",
    "in22k": "imagenet-21k",
    "inw21k": "imagenet-21k",
    # self-supervised on ImageNet-1k, without its labels
    "dino": "imagenet-1k",
    "mae": "imagenet-1k",
    "fcmae": "imagenet-1k",
    "lvd142m": "lvd-142m",
    "lvd1689m": "lvd-1689m",
    "sat493m": "sat-493m",
    "laion2b": "laion-2b",
    "laiona": "laion-a",
    "laion400m": "laion-400m",
    "openai": "openai-wit",
    "metaclip": "metaclip",
    "metaclip2": "metaclip-2",
    "datacomp1b": "datacomp-1b",
    "datacompxl": "datacomp-1b",
    "dfn2b": "dfn-2b",
    "dfn5b": "dfn-5b",
    "dfndr2b": "dfndr-2b",
    "merged2b": "merged-2b",
    "webli": "webli",
    "cc12m": "cc-12m",
    "yfcc15m": "yfcc-15m",
    "seer": "instagram-1b",
    "sa1b": "sa-1b",
    "m30m": "merged-30m",
    "m38m": "merged-38m",
    "bamboo": "bamboo",
}


def pretrained_on(tag: str, n_labels: int) -> str:
    """Return the set that weights were trained on last: "imagenet-1k" for the tag "augreg_in21k_ft_in1k".

    The last set counts, because it is what BatchNorm statistics and classifier are about. A tag that names
    no known set is its own name, unless its 1,000 labels say that it is ImageNet-1k.
    """
    known = [DATA_SETS[word] for word in tag.split("_") if word in DATA_SETS]
    if known:
        return known[-1]
    return "imagenet-1k" if n_labels == 1000 else (tag or "none")
