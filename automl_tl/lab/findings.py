"""What people look at of an assessment: without features and scores, so that it can be kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from automl_tl.data.majority import Majority
from automl_tl.domain.extremes import Extremes
from automl_tl.domain.similarity import Domain
from automl_tl.foreign import check_fields, numbers
from automl_tl.lab.assessment import Assessment
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.matrix import Matrix, Size
from automl_tl.learning.curve import LearningCurve
from automl_tl.model.manifest import jsonable
from automl_tl.strategies import Strategy


@dataclass(frozen=True)
class Screened:
    """A screened feature source, without its predictions."""

    backbone: str
    n_stages: int
    cuts: tuple[int, ...]
    pooling: str
    classifier: str
    accuracy: float
    stderr: float


@dataclass(frozen=True, eq=False)
class Findings:
    """Where a data set lies, what frozen features reach, what each strategy is expected to, and what follows."""

    backbone: str
    """The chosen one."""
    strategy: Strategy
    """The recommended one."""
    size: Size
    matrix: Matrix
    domains: tuple[Domain, ...]
    """Of every backbone."""
    extremes: Extremes | None
    front: tuple[FrontRow, ...]
    probe: tuple[Screened, ...]
    """The best first."""
    curve: LearningCurve
    n_training: int
    majority: Majority | None
    """The constant answer, where the classes are not balanced."""

    @property
    def domain(self) -> Domain:
        """Of the chosen backbone."""
        return next(one for one in self.domains if one.backbone == self.backbone)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, None for NaN; `from_dict` reads them."""
        values: dict[str, Any] = jsonable(asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Findings:
        """Return the findings that `to_dict` described.

        Raises:
            KeyError, TypeError, ValueError: they are not of this version.
        """
        extremes, majority = values["extremes"], values["majority"]
        found = cls(
            backbone=values["backbone"],
            strategy=values["strategy"],
            size=Size(**values["size"]),
            matrix=Matrix(**values["matrix"]),
            domains=tuple(map(_domain, values["domains"])),
            extremes=None if extremes is None else Extremes(tuple(extremes["nearest"]), tuple(extremes["farthest"])),
            front=tuple(
                FrontRow(**{**check_fields(one, FrontRow), "interval": _interval(one["interval"])})
                for one in values["front"]
            ),
            probe=tuple(Screened(**{**one, "cuts": tuple(one["cuts"])}) for one in values["probe"]),
            curve=LearningCurve(**{name: np.array(value) for name, value in values["curve"].items()}),
            n_training=values["n_training"],
            majority=None if majority is None else Majority(**majority),
        )
        if not found.front or not any(one.backbone == found.backbone for one in found.domains):
            raise ValueError("they are of no strategy, or of another backbone")
        return found


def findings(found: Assessment) -> Findings:
    """Return what people look at of an assessment."""
    return Findings(
        backbone=found.evidence.backbone,
        strategy=found.choice.strategy,
        size=found.size,
        matrix=found.matrix,
        domains=tuple(found.domains.values()),
        extremes=found.extremes,
        front=found.expectations.front,
        probe=screened(found.evidence.probe),
        curve=found.expectations.curve,
        n_training=found.sample.n_training,
        majority=found.sample.majority,
    )


def screened(probe: Sequence[Candidate]) -> tuple[Screened, ...]:
    """Return screened sources without their predictions."""
    return tuple(
        Screened(
            one.backbone, one.n_stages, one.source.cuts, one.source.pooling, one.path.kind, one.accuracy, one.stderr
        )
        for one in probe
    )


def _interval(values: Any) -> tuple[float, float]:
    low, high = numbers(values)
    return low, high


def _domain(values: Mapping[str, Any]) -> Domain:
    by_depth = tuple(math.nan if value is None else value for value in values["by_depth"])
    looks_like = tuple((label, share) for label, share in values["looks_like"])
    return Domain(**{**values, "by_depth": by_depth, "looks_like": looks_like})
