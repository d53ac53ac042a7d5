"""The front of the four strategies: expected accuracy against seconds, and the choice on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from automl_tl.durations import format_duration, format_need
from automl_tl.lab.matrix import Matrix
from automl_tl.strategies import FROZEN, Strategy

INDIFFERENCE = 0.005
"""Accuracy: within half a point of the best, the cheaper strategy is the better answer."""
_DRAWS = 4096


@dataclass(frozen=True)
class FrontRow:
    """What one strategy is expected to reach, and what it costs on this machine."""

    strategy: Strategy
    accuracy: float
    interval: tuple[float, float]
    """90 %."""
    seconds: float
    """What `train` needs for it, which learns once to be scored and once from everything; without the time that this
    recommendation took, whose features are kept."""
    measured: bool
    """Whether the model was scored on this data set; what is trained is not, and the panel says what it gains."""
    gain: float
    """Expected accuracy minus the feature extractor's."""
    gain_stderr: float
    how: str
    """Backbone, cuts and what is trained, in words."""
    tried: bool = False
    """Whether a short training on this data set is part of what is expected."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {k: round(v, 4) if isinstance(v, float) else v for k, v in vars(self).items()}
        return {**values, "interval": [round(v, 4) for v in self.interval]}


@dataclass(frozen=True)
class Choice:
    """The strategy that is recommended, how sure that is, and the sentences that say why not another."""

    strategy: Strategy
    best: Mapping[Strategy, float]
    """Probability of each strategy to be the most accurate one, time no object."""
    reasons: tuple[str, ...]


def choose(
    front: Sequence[FrontRow], matrix: Matrix, budget: float | None, usual: Mapping[Strategy, float] | None = None
) -> Choice:
    """Return the strategy that is expected to be best within a training budget in seconds; None: time no object.

    The matrix speaks first: its cell is the answer unless another strategy is expected to be better by more than
    INDIFFERENCE, or as good within it and cheaper while a budget counts, or measured to be better and no dearer. What
    does not fit the budget is no answer.

    Args:
        front: what can be chosen.
        matrix: of the data set.
        budget: seconds, or None.
        usual: how often each strategy is the best one of a data set; None: nothing is known of that.
    """
    rows = {row.strategy: row for row in front}
    reasons: list[str] = []
    start = _cell(rows, matrix, reasons)
    rivals = [row for row in front if budget is None or row.seconds <= budget]
    if budget is not None and not rivals:
        chosen = min(front, key=lambda row: (row.seconds, -row.gain))
        reasons.append(
            f"No strategy fits the budget of {format_duration(budget)}; {chosen.strategy} is the cheapest "
            f"with about {_time(chosen)}."
        )
    else:
        chosen = _best(rivals, start if budget is None else None)
        reasons += _why(chosen, start, rivals, budget)
    reasons += [_why_not(row, chosen, budget) for row in front if row.gain > chosen.gain and row is not start]
    best = probabilities_of_being_best(front, usual)
    likeliest = max(front, key=lambda row: best[row.strategy])
    if likeliest.gain <= chosen.gain and likeliest not in (chosen, start):
        reasons.append(_why_not_the_likeliest(likeliest, chosen))
    return Choice(chosen.strategy, best, tuple(reasons))


def probabilities_of_being_best(
    front: Sequence[FrontRow], usual: Mapping[Strategy, float] | None = None
) -> dict[Strategy, float]:
    """Return the probability of each strategy to be the most accurate one, of this data set and of data sets as such.

    The two are averaged (a linear opinion pool, Stone 1961); what is usual weighs as much as this front leaves in
    doubt: one less its largest probability. On left-out sets of the panel the Brier score is .536 so, .542 without.
    """
    shares = _best_of_draws(front)
    if usual is not None:
        known = np.array([usual[row.strategy] for row in front])
        doubt = 1 - shares.max()
        shares = (1 - doubt) * shares + doubt * known / known.sum()
    return {row.strategy: float(share) for row, share in zip(front, shares, strict=True)}


def _best_of_draws(front: Sequence[FrontRow]) -> np.ndarray:
    """Return the share of draws in which each strategy gains most, float (rows,): gains are normal and independent.

    No gain is larger than the errors that there are; strategies that are without any in the same draw share it. The
    same low-discrepancy points are used at every call (Halton), so that equal fronts give equal answers.
    """
    points = np.stack([_halton(base) for base in (2, 3, 5, 7)[: len(front)]], axis=1)
    means, stderrs = (np.array([getattr(row, name) for row in front]) for name in ("gain", "gain_stderr"))
    errors = 1 - max(row.accuracy - row.gain for row in front)  # the feature extractor's
    gains = np.minimum(means + stderrs * ndtri(points), errors)
    best = gains == gains.max(axis=1, keepdims=True)
    shares: np.ndarray = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def _halton(base: int) -> np.ndarray:
    """Return the van der Corput sequence of a base, float (_DRAWS,), inside (0, 1)."""
    number, value, share = np.arange(1, _DRAWS + 1), np.zeros(_DRAWS), 1.0
    while number.any():
        share /= base
        value += share * (number % base)
        number //= base
    return value


def _cell(rows: dict[Strategy, FrontRow], matrix: Matrix, reasons: list[str]) -> FrontRow:
    """Return the row of the matrix's cell, or the best frozen one where there is none."""
    if matrix.cell in rows:
        return rows[matrix.cell]
    if matrix.cell in FROZEN:
        reasons.append(f"No early cut could be measured, so feature_extractor stands for {matrix.cell}.")
    elif matrix.cell is not None:
        reasons.append(f"The backbone cannot be trained here, so {matrix.cell} is no answer.")
    return max((rows[name] for name in FROZEN if name in rows), key=lambda row: row.gain)


def _best(rivals: Sequence[FrontRow], cell: FrontRow | None) -> FrontRow:
    """Return the cheapest of those that are as good as the best within INDIFFERENCE.

    Where there is a cell, it comes before them if it is as good, unless what was measured is better and no dearer.
    """
    most = max(rivals, key=lambda row: row.gain)
    good = [row for row in rivals if row.gain >= most.gain - INDIFFERENCE]
    cheapest = min(good, key=lambda row: (row.seconds, -row.gain))
    if cell is None:
        return cheapest
    if cell in good:
        better = [row for row in good if row.measured and row.gain > cell.gain and row.seconds <= cell.seconds]
        return max(better, key=lambda row: row.gain, default=cell)
    return most if cheapest.gain < cell.gain + INDIFFERENCE and cheapest.seconds > cell.seconds else cheapest


def _why(chosen: FrontRow, start: FrontRow, rivals: Sequence[FrontRow], budget: float | None) -> list[str]:
    """Say why the answer is not the matrix's cell, but one of `rivals`, which fit the budget."""
    if chosen.strategy == start.strategy:
        return []
    gain, stderr = expected_difference(chosen, start)
    given = "" if budget is None else f"the budget of {format_duration(budget)}"
    allowed = f", and its {_time(chosen)} fit {given}" if given else ""
    if budget is not None and start.seconds > budget:
        most = max(rivals, key=lambda row: row.gain)
        near = f"within half a point of {most.strategy}, and cheaper"
        how = near if most.gain > chosen.gain else "the best that fits"
        return [f"{start.strategy} would take about {_time(start)}, more than {given}; {chosen.strategy} is {how}."]
    if gain < INDIFFERENCE and chosen.seconds < start.seconds:
        return [
            f"{chosen.strategy} replaces {start.strategy}: as accurate within half a point ({100 * gain:+z.1f}), "
            f"and cheaper with {_time(chosen)} for {_time(start)}."
        ]
    return [
        f"{chosen.strategy} replaces {start.strategy}: {100 * gain:+z.1f} points are expected "
        f"(standard error {100 * stderr:.1f}, {_known(chosen, start)}){allowed}."
    ]


def _time(row: FrontRow) -> str:
    return format_need(row.seconds)


def _known(a: FrontRow, b: FrontRow) -> str:
    if a.measured and b.measured:
        return "measured on these pictures and weighed with the panel"
    if a.tried or b.tried:
        return "partly tried on these pictures"
    measured = "early_feature_extractor" in (a.strategy, b.strategy)
    return "partly measured on these pictures" if measured else "from the panel of other data sets"


def _why_not(row: FrontRow, chosen: FrontRow, budget: float | None) -> str:
    """Say why a strategy of higher expected accuracy is not the recommended one."""
    gain, stderr = expected_difference(row, chosen)
    text = f"{row.strategy} may reach {row.accuracy:.1%}: {100 * gain:+z.1f} points (standard error {100 * stderr:.1f})"
    if budget is not None and row.seconds > budget:
        return f"{text}, but its {_time(row)} do not fit the budget of {format_duration(budget)}."
    if row.seconds <= chosen.seconds:
        return f"{text}, which is within half a point, where the matrix decides."
    return f"{text}, not enough for its {_time(row)} where {chosen.strategy} takes {_time(chosen)}."


def _why_not_the_likeliest(row: FrontRow, chosen: FrontRow) -> str:
    """Say why the strategy that is most often the best one is not the recommended one."""
    gain, _ = expected_difference(chosen, row)
    return (
        f"{row.strategy} is the likeliest to be the best, and loses more where it is not: on average "
        f"{chosen.strategy} should reach {100 * gain:.1f} points more."
    )


def expected_difference(a: FrontRow, b: FrontRow) -> tuple[float, float]:
    """Return the expected accuracy of `a` minus that of `b`, with its standard error."""
    return a.gain - b.gain, (a.gain_stderr**2 + b.gain_stderr**2) ** 0.5
