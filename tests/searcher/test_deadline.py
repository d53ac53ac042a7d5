from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest
from tasks import TUNED, retuned

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.trainer import n_variants
from automl_tl.searcher.trials.costs import UNMEASURED, Costs, StageCosts
from automl_tl.searcher.trials.deadline import MARGIN, Deadline

TEN = retuned(TUNED, epochs=10)
STAGES = StageCosts(forward=(0.1, 0.2, 0.4), training=3.0)


def costs() -> Costs:
    return Costs({"tiny": STAGES})


def test_without_a_budget_there_is_no_end() -> None:
    deadline = Deadline(None)
    assert deadline.left == math.inf
    assert not deadline.is_set


def test_a_budget_runs_from_when_it_began() -> None:
    deadline = Deadline(100.0, started=time.monotonic() - 40)
    assert deadline.is_set
    assert deadline.elapsed == pytest.approx(40, abs=5)
    assert deadline.left == pytest.approx(100 * (1 - MARGIN) - 40, abs=5)
    assert Deadline(10.0, started=time.monotonic() - 40).left < 0


def test_a_step_costs_what_learns_and_the_prefix_what_does_not() -> None:
    assert STAGES.step(1, 3) == pytest.approx(3.0 * 0.6)
    assert STAGES.step(0, 3) == pytest.approx(3.0 * 0.7)
    assert STAGES.prefix(2) == pytest.approx(0.3)
    assert STAGES.prefix(0) == 0


VARIED = retuned(TUNED, policy=AugmentationPolicy(hflip=0.5))


def planned(configuration: Configuration, n: int, epochs: int | None = None) -> float:
    """Return the seconds before anything was measured, less what is added for not knowing."""
    return costs().seconds(configuration, n, epochs) / UNMEASURED


def test_the_plan_counts_pictures_epochs_and_kept_views() -> None:
    """Every epoch runs the stages that learn; those that do not are run once in each of a few views."""
    assert planned(VARIED, 10) == pytest.approx(10 * (5 * 3.0 * 0.6 + n_variants(5) * 0.1))
    assert planned(VARIED, 20) == pytest.approx(2 * planned(VARIED, 10))
    assert planned(VARIED, 10, 2) == pytest.approx(10 * (2 * 3.0 * 0.6 + n_variants(2) * 0.1))
    assert planned(retuned(TUNED, unfrozen=3), 10) == pytest.approx(10 * 5 * 3.0 * 0.7)
    assert planned(retuned(VARIED, head_epochs=3), 10) == pytest.approx(10 * (8 * 3.0 * 0.6 + n_variants(8) * 0.1))


def test_where_nothing_varies_the_frozen_stages_run_once() -> None:
    assert planned(TUNED, 10) == pytest.approx(10 * (5 * 3.0 * 0.6 + 0.1))


def test_the_plan_counts_what_cannot_be_kept() -> None:
    """Ten epochs go round four views; of two that fit the prefix is run once, of the others in every epoch."""
    tight = Costs({"tiny": replace(STAGES, kept_bytes=(8, 8, 8))}, max_bytes=2 * 10 * 8)
    ten = retuned(VARIED, epochs=10)
    assert tight.seconds(ten, 10) / UNMEASURED == pytest.approx(10 * (10 * 3.0 * 0.6 + 6 * 0.1))
    assert tight.seconds(ten, 1) / UNMEASURED == pytest.approx(10 * 3.0 * 0.6 + 4 * 0.1)


def test_what_runs_took_corrects_the_plan() -> None:
    known, plan = costs(), planned(TUNED, 10)
    known.learn(TUNED, 10, 5, 2 * plan)
    assert known.seconds(TUNED, 10) == pytest.approx(2 * plan)
    known.learn(TUNED, 10, 5, plan)
    assert known.correction() == pytest.approx(2.0)  # of two the larger
    known.learn(TUNED, 10, 5, 9 * plan)
    assert known.correction() == pytest.approx(2.0)  # an outlier decides nothing
    for _ in range(4):
        known.learn(TUNED, 10, 5, 0.5 * plan)
    assert known.correction() == pytest.approx(0.5)  # and is forgotten


def test_what_an_adapting_batchnorm_costs_is_learned_apart() -> None:
    adapting = retuned(TUNED, batchnorm="adapting")
    known, plan = costs(), planned(TUNED, 10)
    known.learn(TUNED, 10, 5, plan)
    assert known.seconds(adapting, 10) == pytest.approx(plan)  # as the others, where it was not measured
    known.learn(adapting, 10, 5, 3 * plan)
    assert known.seconds(TUNED, 10) == pytest.approx(plan)
    assert known.seconds(adapting, 10) == pytest.approx(3 * plan)
    for _ in range(4):
        known.learn(adapting, 10, 5, 2 * plan)
    assert known.seconds(TUNED, 10) == pytest.approx(2 * plan)  # others may be on the machine by now


def test_a_run_that_was_shortened_is_compared_with_the_epochs_it_had() -> None:
    known = costs()
    known.learn(TUNED, 10, 2, planned(TUNED, 10, 2))
    assert known.correction() == pytest.approx(1.0)


def test_a_run_without_an_epoch_says_nothing() -> None:
    known = costs()
    known.learn(TUNED, 10, 0, 100.0)
    assert known.correction() == UNMEASURED


def test_a_machine_that_others_have_left_is_taken_to_be_as_fast_as_its_trials_are() -> None:
    known = Costs({"tiny": STAGES}, slowdown=2.0)
    assert known.pace == 2.0
    for took, pace in ((1.3, 1.3), (0.5, 1.0), (9.0, 2.0)):
        busy = Costs({"tiny": STAGES}, slowdown=2.0)
        busy.learn(TEN, 10, 10, took * known.seconds(TEN, 10) / known.correction())
        assert busy.pace == pytest.approx(pace)
