"""What a data set's pictures look like to a backbone: its own classifier's answers, counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.stages import Network

N_SHOWN = 5


def looks_like(network: Network, embeddings: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Return the most frequent source classes with their share of the pictures, the largest first.

    Args:
        network: a backbone; without `classifier` and `labels` the answer is empty.
        embeddings: float (n, d), the last stage's pooled vectors.

    Raises:
        BackboneError: its classifier raises, or answers something that its labels lack.
    """
    with blaming(network.name, "could not say what pictures look like"):
        return _looks_like(network, embeddings)


def _looks_like(network: Network, embeddings: np.ndarray) -> tuple[tuple[str, float], ...]:
    backbone = network.backbone
    classifier = backbone.classifier(network.module) if hasattr(backbone, "classifier") else None
    labels = getattr(backbone, "labels", ())
    if classifier is None or not labels:
        return ()
    with torch.inference_mode():
        answers = classifier(torch.from_numpy(embeddings).to(network.device)).argmax(1).tolist()
    counts = Counter(labels[answer] for answer in answers)
    return tuple((label, count / len(answers)) for label, count in counts.most_common(N_SHOWN))
