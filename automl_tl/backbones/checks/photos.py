"""Does it see? With pretrained weights, the bundled photos of one kind lie near one another.

A backbone whose weights were loaded wrongly still runs, still differs from a random one, and otherwise only
looks like a poor one.

Measured on the 80 photos (10 kinds of clothing, 8 each), last stage, cosine after centring, as kinship (see
`kinship`) and share of nearest neighbours of the same kind:

| | kinship | nearest |
|---|---|---|
| EfficientNet-Lite0 / MobileNetV2 / VGG16, 224 pixels | .80 / .74 / .68 | .55 / .48 / .31 |
| the same at 64 pixels | .65 / .64 / .64 | .44 / .34 / .35 |
| a network trained on faces, 150 pixels | .61 | .31 |
| random weights, 54 draws of 16 architectures | .48 to .55 | .05 to .23 |
| wrong: no BatchNorm statistics / last four stages random (Lite0) | .51 / .56 | .13 / .11 |
| wrong: random stem (Lite0 / MobileNetV2 / VGG16) | .54 / .58 / .56 | .21 / .26 / .19 |

So kinship separates what nearest neighbours, of which there are only 80, do not. Swapped colour channels or
another mean and std are not found (.80 to .79): they hardly matter here either.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from automl_tl.backbones.checks.result import CheckResult, skipped, verdict
from automl_tl.backbones.checks.subject import Subject, kinds
from automl_tl.backbones.network import normalise
from automl_tl.backbones.stages import pool

LEAST_KINSHIP = 0.60
EVERYDAY = "imagenet"
"""Begins the names of pretraining sets from which a network must know clothes."""
_BATCH = 16


def neighbours_are_of_their_kind(subject: Subject) -> CheckResult:
    """Photos of one kind of clothing are nearer to one another than to the other kinds."""
    if subject.without_weights:
        return skipped(neighbours_are_of_their_kind, subject.without_weights)
    files = [(file, kind.name) for kind in kinds() for file in sorted(kind.glob("*.jpg"))]
    labels = np.array([kind for _, kind in files])
    near = similarities(_vectors(subject, subject.pictures([file for file, _ in files])))
    found, share = kinship(near, labels), nearest_share(near, labels)
    actual = f"kinship {found:.2f}, {share:.0%} of nearest neighbours of the same kind"
    on = subject.backbone.pretrained_on
    if found < LEAST_KINSHIP and not on.lower().startswith(EVERYDAY):
        reason = f"{actual}; that proves nothing, as the photos are clothes and it was trained on {on}"
        return skipped(neighbours_are_of_their_kind, reason)
    return verdict(
        neighbours_are_of_their_kind,
        found >= LEAST_KINSHIP,
        expected=f"kinship of at least {LEAST_KINSHIP:.2f} (chance .50, random weights up to .55)",
        actual=actual,
        advice="look for layers or BatchNorm statistics that the file did not fill, a wrong order of tensors, "
        "or a wrong scale of the inputs",
    )


def _vectors(subject: Subject, pictures: Tensor) -> Tensor:
    """Return the pooled last output (N, D) of uint8 pictures (N, S, S, 3)."""
    mean, std = subject.backbone.mean, subject.backbone.std
    parts = [
        pool(subject.network, subject.outputs(normalise(batch, mean, std))[-1], last=True).mean
        for batch in torch.split(pictures, _BATCH)
    ]
    return torch.cat(parts)


def similarities(vectors: Tensor) -> np.ndarray:
    """Return the cosines (N, N) of vectors (N, D) after subtracting their mean, float64, -2 on the diagonal."""
    unit = normalize(vectors.double() - vectors.double().mean(0), dim=1)
    return (unit @ unit.T).fill_diagonal_(-2.0).numpy()


def kinship(near: np.ndarray, labels: np.ndarray) -> float:
    """Return how often two photos of one kind are more similar than two of different kinds, 0 to 1.

    Over all pairs of pairs (the area under the ROC curve); chance is 0.5, and ties count half.

    >>> kinship(np.array([[-2, 0.9, 0.1], [0.9, -2, 0.2], [0.1, 0.2, -2]]), np.array(["a", "a", "b"]))
    1.0
    """
    rows, columns = np.triu_indices(len(labels), 1)
    values, same = near[rows, columns], labels[rows] == labels[columns]
    others = np.sort(values[~same])
    below = np.searchsorted(others, values[same], "left") + np.searchsorted(others, values[same], "right")
    return float(below.mean() / 2 / len(others))


def nearest_share(near: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of photos whose nearest neighbour is of their kind, 0 to 1."""
    return float((labels[near.argmax(1)] == labels).mean())
