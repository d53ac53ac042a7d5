"""The document's linear classifiers, solved to the optimum: softmax, one-vs-rest logistic, linear SVM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from automl_tl.devices import to_device
from automl_tl.errors import OptionError
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.problem import Problem, check_labels
from automl_tl.learning.scores import PenaltyPath, class_weights, follow_path, get_metric
from automl_tl.learning.spectrum import Spectrum, as_spectrum
from automl_tl.learning.threads import threads_for

# Two iterations in a row that lower the objective by less than this share of it end the search. Measured: the
# objective is then within a share 6e-5 of the optimum, in the median 2e-6 (n 400 to 3,000, 10 to 100 classes).
TOLERANCE = 1e-6
# Enough to compare strengths: within 6e-4 of the optimum, in the median 2e-5.
PATH_TOLERANCE = 1e-5
ITERATIONS = 500
# Passes over the features that a solution takes, forth and back, in order of magnitude.
PASSES = 200
# Above this many multiplications a pass the features are float32 (1.7 times faster, the same optimum within 1e-5);
# sums over pictures, the weights and the search are always float64.
SINGLE_PRECISION = 2e7
# The path ends when the metric has not improved for this many strengths: weak ones are the slow ones.
PATIENCE = 2


@dataclass(frozen=True)
class Loss:
    """A loss over the scores of one picture, and a bound on its curvature in one score.

    function: maps scores (n, C) and labels int64 (n,) to the losses (n,) and their gradient in the scores (n, C).
    """

    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    curvature: float


def softmax_loss(scores: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Categorical cross-entropy: -log softmax(scores)[y]."""
    logs = torch.log_softmax(scores, dim=1)
    losses = -logs.gather(1, y[:, None])[:, 0]
    return losses, logs.exp_().scatter_add_(1, y[:, None], -torch.ones_like(losses)[:, None])


def ovr_logistic_loss(scores: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of every class against the rest, summed over classes."""
    own = scores.gather(1, y[:, None])
    losses = torch.logaddexp(scores, torch.zeros_like(scores)).sum(dim=1) - own[:, 0]
    return losses, torch.sigmoid(scores).scatter_add_(1, y[:, None], -torch.ones_like(own))


def squared_hinge_loss(scores: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """max(0, 1 - t * score)^2 with t = +1 for the own class and -1 for the others, summed over classes."""
    signs = torch.full_like(scores, -1.0).scatter_(1, y[:, None], 1.0)
    short = (1 - signs * scores).clamp_(min=0)
    return short.square().sum(dim=1), signs.mul_(short).mul_(-2)


LOSSES = {
    "softmax": Loss(softmax_loss, 0.25),
    "ovr_logistic": Loss(ovr_logistic_loss, 0.25),
    "linear_svm": Loss(squared_hinge_loss, 2.0),
}


def get_loss(kind: str) -> Loss:
    """The loss of a kind of head; OptionError that lists the known ones otherwise."""
    if kind not in LOSSES:
        raise OptionError(f'unknown head "{kind}"; known are {", ".join(sorted(LOSSES))}')
    return LOSSES[kind]


def l2_grid(n: int, d: int, count: int = 7) -> np.ndarray:
    """A path of `count` L2 strengths for n pictures and d varying columns, descending, two per decade.

    With scaled columns a strength means the same for every source as a multiple of d / n (compare
    `Spectrum.unit`); the multiples go down from 3.2. On pooled features of photos, hand signs and cells at early,
    late and joined cuts the best ones lay between 3 and .003.
    """
    return np.logspace(0.5, 0.5 - (count - 1) / 2, count) * d / n


def solve_head(
    kind: str, X: np.ndarray | Tensor | Spectrum, y: np.ndarray, n_classes: int, l2: float, *, balanced: bool = False
) -> LinearHead:
    """The linear classifier of least sum_i w_i loss_i + l2 / 2 ||W||^2, its bias free.

    kind: "softmax", "ovr_logistic" or "linear_svm" (squared hinge, one against the rest).
    X: features (n, d), or their Spectrum if it is at hand. y: int (n,), classes from 0. W is on scaled
    columns. The weights w_i sum to 1: they are 1 / n, or give every class the same total if `balanced`. So
    scikit-learn's C is 1 / (n l2) for LogisticRegression and LinearSVC alike.

    The problem is convex. L-BFGS works in the basis of the features' principal directions, each scaled by its
    curvature, which saves nine of ten iterations. Weights of more columns than pictures lie in the span of the
    pictures (representer theorem), so they are solved for there and turned back.
    A class without a picture gets no weights and a bias below every other's.
    """
    check_labels(y, n_classes)
    spectrum = as_spectrum(X)
    objective = _objective(kind, spectrum.rotated, y, balanced)
    solution = _solve(objective, l2, None, TOLERANCE)
    weight, bias = _spread(solution, objective.present, n_classes, len(y))
    on_columns = (spectrum.directions() @ weight).T.cpu().numpy()
    return LinearHead.on_scaled(kind, on_columns, bias.cpu().numpy(), spectrum.scaling)


def solve_path(
    kind: str,
    problem: Problem,
    l2s: np.ndarray,
    *,
    balanced: bool = False,
    metric: str = "accuracy",
    deadline: float = math.inf,
) -> PenaltyPath:
    """Out-of-fold scores along a path of L2 strengths, ended once PATIENCE of them in a row brought nothing.

    kind, balanced: as in `solve_head`. l2s is descending, as `l2_grid` gives it; deadline is a time.monotonic() at
    which the path ends with the strengths that are done, one at least. A fold's solution starts where its own path
    leads, and is solved to PATH_TOLERANCE. Only the scaling and the choice of coordinates are from all
    pictures. A class that is missing from the training part of a fold cannot be predicted there: its score is one
    below the lowest other.
    """
    scored = _fold_scores(kind, as_spectrum(problem.X).rotated, problem, l2s, balanced)
    return follow_path(kind, problem.y, scored, get_metric(metric), patience=PATIENCE, deadline=deadline)


@dataclass(frozen=True)
class _Objective:
    """The loss over one weighted training set in rotated coordinates.

    Z: (n, r) float32 or float64. y: (n,) int64, positions in `present`. weights: (n,) float64, sum 1.
    present: (C',) the classes that occur.
    """

    loss: Loss
    Z: Tensor
    y: Tensor
    weights: Tensor
    present: np.ndarray

    def at(self, weight: Tensor, bias: Tensor, l2: float) -> tuple[Tensor, Tensor, Tensor]:
        """The regularised loss and its gradients in weight (r, C') and bias (C',), all float64, where they are."""
        dtype = self.Z.dtype
        losses, slope = self.loss.function(torch.addmm(bias.to(dtype), self.Z, weight.to(dtype)), self.y)
        slope *= self.weights[:, None].to(dtype)
        value = self.weights @ losses.double() + l2 / 2 * weight.square().sum()
        return value, (self.Z.T @ slope).double().add_(weight, alpha=l2), slope.double().sum(dim=0)

    def scales(self, l2: float) -> Tensor:
        """(r + 1, 1): one over the root of the objective's curvature in each row of the weights, and in the bias."""
        curvature = self.loss.curvature * torch.linalg.vector_norm(self.Z, dim=0).double() ** 2 / len(self.Z) + l2
        of_bias = torch.full((1,), self.loss.curvature, dtype=curvature.dtype, device=curvature.device)
        return torch.cat([curvature, of_bias]).rsqrt()[:, None]


@dataclass(frozen=True)
class _Solution:
    """weight (r, C') and bias (C',) of the classes that occur, float64, in rotated coordinates."""

    weight: Tensor
    bias: Tensor


def _objective(kind: str, Z: Tensor, y: np.ndarray, balanced: bool) -> _Objective:
    present, positions = np.unique(y, return_inverse=True)
    weights = class_weights(positions) if balanced else np.ones(len(y))
    single = Z.shape[0] * Z.shape[1] * len(present) > SINGLE_PRECISION
    return _Objective(
        get_loss(kind),
        Z.float() if single else Z,
        torch.as_tensor(positions, dtype=torch.int64, device=Z.device),
        torch.as_tensor(weights / len(y), device=Z.device),
        present,
    )


def _solve(objective: _Objective, l2: float, start: _Solution | None, tolerance: float) -> _Solution:
    if not 0 < l2 < np.inf:
        raise OptionError(f"the L2 strength must be positive and finite, got {l2}")
    scales = objective.scales(l2)
    shape = (len(scales), len(objective.present))

    def unpack(flat: np.ndarray) -> tuple[Tensor, Tensor]:
        stacked = to_device(torch.from_numpy(flat), scales.device).view(shape) * scales
        return stacked[:-1], stacked[-1]

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, weight, bias = objective.at(*unpack(flat), l2)
        gradient = torch.cat([weight, bias[None]]) * scales
        found = torch.cat([value[None], gradient.flatten()]).cpu().numpy()  # one copy, for which a GPU is waited for
        return float(found[0]), found[1:]

    first = np.zeros(shape[0] * shape[1])
    if start is not None:
        first = (torch.cat([start.weight, start.bias[None]]) / scales).cpu().numpy().ravel()
    options = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "ftol": 0.0, "gtol": 1e-12}
    with threads_for(PASSES * objective.Z.numel() * shape[1]):
        result = minimize(evaluate, first, jac=True, method="L-BFGS-B", callback=_Converged(tolerance), options=options)
    return _Solution(*unpack(result.x))


class _Converged:
    """Ends scipy's iteration after two steps in a row that gain less than a share `tolerance` of the objective."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.last, self.idle = tolerance, np.inf, 0

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        value = float(intermediate_result.fun)
        self.idle = self.idle + 1 if self.last - value <= self.tolerance * value else 0
        self.last = value
        if self.idle == 2:
            raise StopIteration


def _spread(solution: _Solution, present: np.ndarray, n_classes: int, n: int) -> tuple[Tensor, Tensor]:
    """Weight (r, C) and bias (C,) of all classes, those that do not occur included."""
    weight = solution.weight.new_zeros(solution.weight.shape[0], n_classes)
    bias = solution.bias.min().repeat(n_classes) - np.log(2 * n)
    weight[:, present], bias[present] = solution.weight, solution.bias
    return weight, bias


def _fold_scores(
    kind: str, Z: Tensor, problem: Problem, l2s: np.ndarray, balanced: bool
) -> Iterator[tuple[float, np.ndarray]]:
    """Every strength with the scores (n, C) of each picture by the classifier that has not seen its fold."""
    y, folds = problem.y, problem.folds
    solved: dict[int, list[_Solution]] = {int(fold): [] for fold in np.unique(folds)}
    for l2 in l2s:
        oof = np.empty((len(y), problem.n_classes))
        for fold, path in solved.items():
            train, test = (_positions(part, Z.device) for part in (folds != fold, folds == fold))
            objective = _objective(kind, Z[train], y[folds != fold], balanced)
            solution = _solve(objective, float(l2), _ahead(path), PATH_TOLERANCE)
            path[:] = [*path[-1:], solution]
            oof[folds == fold] = _fill(_scores(Z[test], solution), objective.present, problem.n_classes)
        yield l2, oof


def _positions(chosen: np.ndarray, device: torch.device) -> Tensor:
    """Where a mask (n,) is true, int64 on a device, which would have to count if it were given the mask."""
    return to_device(torch.from_numpy(np.flatnonzero(chosen)), device)


def _scores(Z: Tensor, solution: _Solution) -> Tensor:
    """Scores (m, C') float64 of rotated features (m, r)."""
    return (Z @ solution.weight.to(Z.dtype)).double() + solution.bias


def _ahead(path: list[_Solution]) -> _Solution | None:
    """Where a path of strengths, equally spaced in the logarithm, goes on; softmax saves 40% of the iterations."""
    if len(path) < 2:
        return path[-1] if path else None
    before, last = path
    return _Solution(2 * last.weight - before.weight, 2 * last.bias - before.bias)


def _fill(scores: Tensor, present: np.ndarray, n_classes: int) -> np.ndarray:
    """Scores (m, C) from those of the classes that occur (m, C'); the others lie one below the lowest."""
    found = scores.cpu().numpy()
    filled: np.ndarray = (found.min(axis=1, keepdims=True) - 1).repeat(n_classes, axis=1)
    filled[:, present] = found
    return filled
