"""The loss that training makes small: cross-entropy with smoothed labels, of classes that may weigh differently."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """The loss of a batch: the mean of what its pictures come to, each weighing as its label does.

    A picture of label c comes to w_c H_c with H_c = -(1 - s) log p_c - s / C sum_k log p_k, of C classes; one of
    several labels to their mix. What is smoothed away from a label weighs as the label. With `nn.CrossEntropyLoss` it
    weighs as the classes that it goes to: where one of two is fifty times as rare, the likeliest that a common picture
    learned by heart can be is then the rare one.
    """

    smoothing: float
    """s, 0 to 1: what each class has of every label (Szegedy et al. 2016, arXiv 1512.00567)."""
    weights: Tensor | None = None
    """w, float32 (C,), of mean 1 over the pictures that are learned from; None: all classes weigh the same. The mean is
    over pictures, not over their weights: a batch without a rare picture would then count as much as one that has it,
    and over an epoch the rare class for less than its share."""

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a single number.

        Args:
            scores: float (N, C).
            labels: int64 (N,); or shares of the classes, float (N, C).
        """
        if self.weights is None:
            return cross_entropy(scores, labels, label_smoothing=self.smoothing)
        if labels.ndim == 1:
            each = cross_entropy(scores, labels, label_smoothing=self.smoothing, reduction="none")
            return (self.weights[labels] * each).mean()
        log_p, weighed = scores.log_softmax(dim=1), labels * self.weights
        of_labels, of_all = (weighed * log_p).sum(dim=1), weighed.sum(dim=1) * log_p.mean(dim=1)
        return -((1 - self.smoothing) * of_labels + self.smoothing * of_all).mean()
