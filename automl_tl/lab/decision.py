"""The front of the four strategies: expected accuracy against seconds, and the choice on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from automl_tl.lab.matrix import Matrix
from automl_tl.strategies import FROZEN, Strategy


@dataclass(frozen=True)
class FrontRow:
    """What one strategy is expected to reach, and what it costs on this machine."""

    strategy: Strategy
    accuracy: float
    interval: tuple[float, float]
    """90 %."""
    seconds: float
    """Training time on all training pictures, without the time that this recommendation took."""
    measured: bool
    """Whether the accuracy was measured on this data set, or follows from a prior at least in part."""
    gain: float
    """Expected accuracy minus the best frozen one's, paired: on the same pictures."""
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
    """The strategy that is recommended, and the sentences that say why not another."""

    strategy: Strategy
    reasons: tuple[str, ...]


def choose(front: Sequence[FrontRow], matrix: Matrix, budget: float | None) -> Choice:
    """Return the strategy for a training budget in seconds; without one the matrix's cell stands.

    A strategy that the budget allows replaces the cell only if its expected paired gain exceeds its standard
    error. Without a budget only what was measured or tried on these pictures can contradict the matrix.
    """
    rows = {row.strategy: row for row in front}
    reasons: list[str] = []
    start = _default(rows, matrix, reasons)
    rivals = [row for row in front if row.measured or row.tried or budget is not None]
    if budget is not None:
        rivals = [row for row in rivals if row.seconds <= budget]
        start = _affordable(rows, start, rivals, budget, reasons)
    best = max(rivals, key=lambda row: row.gain, default=start)
    if start.measured or best.tried or budget is not None:
        start = _replace(start, best, reasons, budget)
    reasons += [_why_not(row, start, budget) for row in front if row.accuracy > start.accuracy]
    return Choice(start.strategy, tuple(reasons))


def _why_not(row: FrontRow, chosen: FrontRow, budget: float | None) -> str:
    """Say why a strategy of higher expected accuracy is not the recommended one."""
    gain, stderr = paired_difference(row, chosen)
    text = f"{row.strategy} may reach {row.accuracy:.1%}: {100 * gain:+.1f} points (standard error {100 * stderr:.1f})"
    if budget is not None and row.seconds > budget:
        return f"{text}, but its {row.seconds:.0f} s do not fit the budget of {budget:.0f} s."
    if gain <= stderr:
        return f"{text}, not certain enough to replace {chosen.strategy}, which takes {chosen.seconds:.0f} s."
    return f"{text}, if about {row.seconds:.0f} s of training are worth it: --budget says so."


def _default(rows: dict[Strategy, FrontRow], matrix: Matrix, reasons: list[str]) -> FrontRow:
    if matrix.cell in rows:
        return rows[matrix.cell]
    if matrix.cell is None:
        reasons.append("The domain is unknown, so the matrix names no cell and the evidence decides.")
    elif "feature_extractor" in rows:
        reasons.append(f"This backbone has no {matrix.cell}: it is a single stage, so feature_extractor stands for it.")
    return max((rows[name] for name in FROZEN if name in rows), key=lambda row: row.accuracy)


def _affordable(
    rows: dict[Strategy, FrontRow], start: FrontRow, rivals: Sequence[FrontRow], budget: float, reasons: list[str]
) -> FrontRow:
    if start.seconds <= budget:
        return start
    if not rivals:
        cheapest = min(rows.values(), key=lambda row: row.seconds)
        reasons.append(
            f"No strategy fits the budget of {budget:.0f} s; {cheapest.strategy} is the cheapest "
            f"with about {cheapest.seconds:.0f} s."
        )
        return cheapest
    best = max(rivals, key=lambda row: row.accuracy)
    reasons.append(
        f"{start.strategy} would take about {start.seconds:.0f} s, more than the budget of {budget:.0f} s; "
        f"{best.strategy} is the best that fits."
    )
    return best


def _replace(start: FrontRow, best: FrontRow, reasons: list[str], budget: float | None) -> FrontRow:
    gain, stderr = paired_difference(best, start)
    if best.strategy == start.strategy or gain <= stderr:
        return start
    if best.measured and start.measured:
        known = "measured on these pictures"
    else:
        known = "tried on these pictures" if best.tried or start.tried else "expected, not yet measured"
    allowed = "" if budget is None else f" and its {best.seconds:.0f} s fit the budget of {budget:.0f} s"
    reasons.append(
        f"{best.strategy} replaces {start.strategy}: it gains {100 * gain:+.1f} points "
        f"(standard error {100 * stderr:.1f}, {known}){allowed}."
    )
    return best


def paired_difference(a: FrontRow, b: FrontRow) -> tuple[float, float]:
    """Return the expected accuracy of `a` minus that of `b`, with its standard error."""
    return a.gain - b.gain, (a.gain_stderr**2 + b.gain_stderr**2) ** 0.5
