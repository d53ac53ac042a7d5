"""What solving takes, counted before it is begun: floating point operations, and bytes."""

from __future__ import annotations

from dataclasses import dataclass

# Evaluations of an objective, each once over the features forth and once back. Measured over all kinds (n 400 to 1,500,
# 10 to 30 classes): 50 to 170 for a path of strengths in one fold, 10 to 60 for one head.
PATH_EVALUATIONS, EVALUATIONS = 100, 40
# Corrections that L-BFGS remembers, two vectors each.
CORRECTIONS = 10


@dataclass(frozen=True)
class Effort:
    """Floating point operations, additions and multiplications alike, and bytes that are held at once."""

    operations: float
    bytes: float

    @property
    def affordable(self) -> bool:
        """Whether it is within MOST."""
        return self.operations <= MOST.operations and self.bytes <= MOST.bytes


# What one solution may take: about ten seconds on two cores, so the three kinds of heads half a minute; and 4 GiB.
MOST = Effort(7.2e11, 2**32)


def solving(n: int, d: int, n_classes: int, *, n_folds: int = 1, path: bool = False) -> Effort:
    """Of softmax, one-vs-rest or SVM heads on n pictures of d columns, by `heads.solve_head` or `heads.solve_path`.

    n_folds: 1 for one head on everything. path: whether it is a whole path of strengths, or one.
    """
    rank = min(n - 1, d)
    evaluations = (PATH_EVALUATIONS if path else EVALUATIONS) * max(n_folds - 1, 1)  # K times on a share 1 - 1 / K
    features = 4.0 * n * d + (8.0 + 8.0) * n * rank  # as they came, rotated, and rotated in one fold
    return Effort(
        4.0 * evaluations * n * rank * n_classes,
        features + 8.0 * n_classes * (3 * n + 2 * CORRECTIONS * rank),
    )


def screening(n: int, d: int, n_classes: int, n_folds: int, *, n_penalties: int) -> Effort:
    """Of ridge regression's out-of-fold scores on n pictures of d columns, by `screen.ridge_path`."""
    fold, scores = n / n_folds, 2.0 * n * min(n, d) * n_classes
    if d < fold:  # normal equations of each fold, and nothing else
        once, system = 2.0 * n * d**2, float(d)
        held = 8.0 * (n_folds + 2) * d**2
    else:  # an eigendecomposition, then systems of a fold's pictures
        once, system = 2.0 * n * d * min(n, d) + 9.0 * min(n, d) ** 3, fold
        held = 8.0 * (3 * n * min(n, d) + n * fold)
    each = n_folds * (system**3 / 3 + 2 * system**2 * n_classes)
    return Effort(once + n_penalties * (each + scores), 4.0 * n * d + held + 16.0 * n * n_classes)
