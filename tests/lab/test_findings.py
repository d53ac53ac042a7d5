"""What is kept of an assessment is read as it was written."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from automl_tl.data.majority import Majority
from automl_tl.domain.extremes import Extremes
from automl_tl.domain.similarity import Domain
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.findings import Findings, Screened
from automl_tl.lab.matrix import Borders, judge_size, place
from automl_tl.learning.curve import LearningCurve

FINDINGS = Findings(
    backbone="tiny",
    strategy="fine_tuning",
    size=judge_size(100, 10, 4_000_000, Borders(1000, 0.5, 0.5, 1500)),
    matrix=place(0.1, 0.7),
    domains=(
        Domain(
            "tiny", 0.2, "depth", None, "borderline", 0.7, 0.6, "weights", (0.1, math.nan), 0.2, True,
            looks_like=(("cat", 0.5),),
        ),
    ),
    extremes=Extremes(("a", "b"), ("c",)),
    front=(FrontRow("fine_tuning", 0.9, (0.8, 0.95), 60.0, False, 0.1, 0.05, "everything"),),
    probe=(Screened("tiny", 3, (2, 3), "mean+std", "ridge", 0.8, 0.05),),
    curve=LearningCurve(np.array([10.0, 20.0]), np.array([0.5, 0.6]), np.array([0.1, 1.0, 0.5]), np.ones((4, 3))),
    n_training=100,
    majority=Majority("cat", 0.6),
)  # fmt: skip


@pytest.mark.parametrize("before", [FINDINGS, replace(FINDINGS, extremes=None, majority=None)])
def test_json_keeps_everything(before: Findings) -> None:
    after = Findings.from_dict(json.loads(json.dumps(before.to_dict(), allow_nan=False)))
    for name in ("backbone", "strategy", "size", "matrix", "extremes", "front", "probe", "n_training", "majority"):
        assert getattr(after, name) == getattr(before, name), name
    for name, value in vars(before.curve).items():
        assert np.array_equal(getattr(after.curve, name), value)
    assert math.isnan(after.domain.by_depth[1])
    assert {**asdict(after.domain), "by_depth": ()} == {**asdict(before.domain), "by_depth": ()}


def test_another_version_is_refused() -> None:
    values = FINDINGS.to_dict()
    with pytest.raises(TypeError):
        Findings.from_dict({**values, "size": {**values["size"], "weight": 1}})
    with pytest.raises(KeyError):
        Findings.from_dict({name: value for name, value in values.items() if name != "front"})
