"""Which pretraining set may stand in for another, where a backbone's own cannot be compared with."""

from __future__ import annotations

IMAGENET = "imagenet-1k"
WIDER = frozenset(
    {
        "bamboo", "cc-12m", "datacomp-1b", "dfn-2b", "dfn-5b", "dfndr-2b", "imagenet-12k", "imagenet-21k",
        "instagram-1b", "instagram-3.6b", "laion-2b", "laion-400m", "laion-a", "lvd-142m", "lvd-1689m", "merged-2b",
        "merged-30m", "merged-38m", "metaclip", "metaclip-2", "openai-wit", "sa-1b", "webli", "yfcc-15m",
    }
)  # fmt: skip
"""Sets of photographs of the world, as ImageNet-1k is one, and of many more of them: ImageNet's own larger ones, what
was gathered on the web. Satellite pictures (sat-493m) or faces are none of these."""


def stand_ins(pretrained_on: str) -> tuple[str, ...]:
    """Return the sets by which the distance to `pretrained_on` may be told, itself first; none for "none".

    >>> stand_ins("lvd-142m"), stand_ins("faces"), stand_ins("none")
    (('lvd-142m', 'imagenet-1k'), ('faces',), ())
    """
    if pretrained_on == "none":
        return ()
    return (pretrained_on, IMAGENET) if pretrained_on in WIDER else (pretrained_on,)
