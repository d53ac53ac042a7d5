"""The score of "choose the best by cross-validation", corrected for that choice by bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_tl.errors import OptionError

# Bootstrap samples handled at once; bounds the counts to BATCH x n.
BATCH = 200
# Share of the out-of-bag accuracy in the corrected one: the chance of a picture to be in a bootstrap sample.
IN_BAG = 1 - np.exp(-1)


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What all candidates of a choice came to out of fold on the same n pictures.

    correct: (n, m) bool, whether each candidate is right on each picture.
    clusters: int (n,), pictures that are resampled together (duplicates, groups).
    folds: int (n,), to notice if folds differ by more than chance.
    merits: (n, m), what each picture adds to what candidates are selected by; default: being right. What is estimated
        is the plain accuracy.
    """

    correct: np.ndarray
    clusters: np.ndarray | None = None
    folds: np.ndarray | None = None
    merits: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.correct.ndim != 2 or 0 in self.correct.shape:
            raise OptionError(f"correctness must be a table (pictures, candidates), got the shape {self.correct.shape}")


@dataclass(frozen=True)
class Bootstrap:
    """How often pictures are drawn again, and the seed of that."""

    draws: int = 1000
    seed: int = 0


USUAL_BOOTSTRAP = Bootstrap()


@dataclass(frozen=True)
class Corrected:
    """The score of "choose the best by cross-validation", corrected by bootstrap.

    accuracy: the out-of-bag accuracy of what is chosen in-bag, weighed with the best candidate's own score.
    best: the best candidate's column. best_accuracy: its plain cross-validated accuracy.
    spread: standard deviation over bootstrap samples of the plain accuracy of the one chosen in-bag: how
    much hangs on which of the near-equals it was.
    """

    accuracy: float
    best: int
    best_accuracy: float
    spread: float

    @property
    def optimism(self) -> float:
        """best_accuracy - accuracy; negative where the correction has little to correct."""
        return self.best_accuracy - self.accuracy


def correct_selection(found: OutOfFold, bootstrap: Bootstrap = USUAL_BOOTSTRAP) -> Corrected:
    """BBC-CV (Tsamardinos, Greasidou and Borboudakis 2018, arXiv 1708.07180): select in-bag, score out-of-bag.

    A choice from the 63.2 % of the pictures that a bootstrap sample holds is worse than the choice from all, so the
    out-of-bag accuracy alone is too low: on real features (clothing, 3 to 40 per class, 500 candidates) by .11 to .02.
    The .632+ rule (Efron and Tibshirani 1997) weighs it with the chosen candidate's own score; a choice among equals
    still gets the out-of-bag accuracy alone.

    Ties in-bag are broken at random. One candidate, or one cluster, is left as it is.
    """
    correct, clusters = found.correct, found.clusters
    n, m = correct.shape
    table = correct.astype(np.float32)
    merits = table if found.merits is None else found.merits
    plain = correct.mean(axis=0)
    best = int(merits.sum(axis=0).argmax())
    if m == 1 or (clusters is not None and len(np.unique(clusters)) == 1):
        return Corrected(float(plain[0]), 0, float(plain[0]), 0.0)
    rng = np.random.default_rng(bootstrap.seed)
    scores, chosen = [], []
    for start in range(0, bootstrap.draws, BATCH):
        counts = _bootstrap_counts(n, clusters, min(BATCH, bootstrap.draws - start), rng)
        picked = (counts @ merits + 1e-3 * rng.random((len(counts), m), dtype=np.float32)).argmax(axis=1)
        outside = (counts == 0).astype(np.float32)
        sizes = outside.sum(axis=1)
        scores.append(((outside * table[:, picked].T).sum(axis=1) / np.maximum(sizes, 1))[sizes > 0])
        chosen.append(picked)
    spread = float(plain[np.concatenate(chosen)].std())
    outside_bag = float(np.concatenate(scores).mean())
    accuracy = _weigh(float(plain[best]), outside_bag, float(plain.mean()))
    return Corrected(accuracy, best, float(plain[best]), spread)


def _weigh(own: float, outside_bag: float, blind: float) -> float:
    """The .632+ rule: between the chosen one's own score and the out-of-bag one, nearer to the latter the more of
    the lead over a blind choice was luck."""
    luck = float(np.clip((own - outside_bag) / max(own - blind, 1e-9), 0.0, 1.0))
    weight = IN_BAG / (1 - (1 - IN_BAG) * luck)
    return float((1 - weight) * own + weight * outside_bag)


def _bootstrap_counts(n: int, clusters: np.ndarray | None, size: int, rng: np.random.Generator) -> np.ndarray:
    """How often each picture is in each of `size` bootstrap samples, float32 (size, n)."""
    members = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    total = int(members.max()) + 1
    draws = rng.integers(0, total, size=(size, total)) + total * np.arange(size)[:, None]
    counts = np.bincount(draws.ravel(), minlength=size * total).reshape(size, total)
    return counts[:, members].astype(np.float32)
