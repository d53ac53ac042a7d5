from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tasks import PRIORS, RIDGE, SOFTMAX, TUNED, bare_task, outcome, reference

from automl_tl.lab.calibration import GainPrior
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.comparison import (
    accuracy_gain,
    best_first,
    compare,
    compare_drawn,
    paired_difference,
)
from automl_tl.searcher.trials.outcome import Outcome

SURE = {"fine_tuning": GainPrior(0.06, 1e-6), "pretrained_initialization": GainPrior(-0.03, 1e-6)}


def make_task(metric: str = "accuracy", n: int = 200) -> Task:
    return bare_task(np.arange(n) % 3, metric=metric)


METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_one_gains_whatever_the_metric(metric: str) -> None:
    task = make_task(metric)
    ours = reference(task, 0.7)
    better, worse = (
        compare(task, ours, outcome(task, right, seed=1, configuration=SOFTMAX), {}) for right in (0.9, 0.5)
    )
    assert better.gain > 0.05
    assert worse.gain < -0.05
    assert 0 < better.expected < better.gain  # drawn towards nothing
    assert better.stderr > 0
    assert better.n == 200


@pytest.mark.parametrize("metric", METRICS)
def test_what_says_the_same_gains_nothing(metric: str) -> None:
    task = make_task(metric)
    ours = reference(task)
    comparison = compare(task, ours, replace(ours.outcome, configuration=SOFTMAX), {})
    assert comparison.gain == 0
    assert abs(comparison.expected) < 1e-9


@pytest.mark.parametrize("metric", METRICS)
def test_only_common_pictures_are_compared(metric: str) -> None:
    """A candidate that was asked the harder pictures, and did as well on them, gains nothing."""
    task = make_task(metric)
    ours = reference(task, 0.7)
    hard = np.flatnonzero(ours.outcome.predictions != task.y)[:40]
    same = replace(ours.outcome, configuration=TUNED, rows=hard, scores=ours.outcome.scores[hard], value=0.0)
    assert compare(task, ours, same, PRIORS).gain == 0


def test_rows_in_any_order_are_those_pictures() -> None:
    task = make_task()
    ours, theirs = reference(task, 0.7), outcome(task, 0.8, seed=2)
    order = np.random.default_rng(0).permutation(task.sample.n)
    shuffled = replace(theirs, rows=theirs.rows[order], scores=theirs.scores[order])
    assert compare(task, ours, shuffled, {}).gain == pytest.approx(compare(task, ours, theirs, {}).gain)


def test_few_pictures_leave_it_to_the_prior_and_many_to_the_measurement() -> None:
    task = make_task(n=2000)
    ours = reference(task, 0.7)
    few, many = (
        compare(task, ours, outcome(task, 0.95, configuration=TUNED, rows=np.arange(n), seed=1), PRIORS)
        for n in (12, 2000)
    )
    prior = PRIORS["fine_tuning"].mean
    assert abs(few.expected - prior) < abs(few.expected - few.gain)
    assert abs(many.expected - many.gain) < abs(many.expected - prior)


def test_the_strategy_counts_by_its_prior() -> None:
    task = make_task(n=30)
    ours = reference(task, 0.7)
    tuned = outcome(task, 0.7, configuration=TUNED, seed=1)
    scratch = replace(tuned, configuration=replace(TUNED, training="pretrained_initialization"))
    frozen = replace(tuned, configuration=SOFTMAX)
    expected = [compare(task, ours, one, PRIORS).expected for one in (tuned, frozen, scratch)]
    assert expected == sorted(expected, reverse=True)
    assert expected[0] > expected[2]


def test_the_best_first_and_the_reference_at_zero_among_them() -> None:
    task = make_task()
    ours = reference(task, 0.7)
    some = [outcome(task, right, configuration=TUNED, seed=seed) for seed, right in enumerate((0.5, 0.95, 0.8), 1)]
    ranked = best_first(task, ours, [compare(task, ours, one, PRIORS) for one in some])
    assert [c.outcome for c in ranked] == [some[1], some[2], ours.outcome, some[0]]
    assert ranked[2].expected == ranked[2].gain == 0
    assert best_first(task, ours, [])[0].outcome is ours.outcome


EARLY = replace(RIDGE, cuts=(1,))


def test_an_early_cut_that_looks_better_on_few_pictures_is_not_believed() -> None:
    """Where the expectation, which has that in it already, says that late cuts are ahead."""
    task = make_task(n=60)
    ours, lucky = reference(task, 0.8), outcome(task, 0.9, configuration=EARLY)
    assert compare(task, ours, lucky, {}).expected > 0
    assert compare(task, replace(ours, ahead=0.03), lucky, {}).expected < 0
    assert compare(task, replace(ours, ahead=0.03), replace(lucky, configuration=SOFTMAX), {}).expected > 0


def test_among_frozen_ones_the_likelier_labels_count_and_not_a_picture_more() -> None:
    task = make_task(n=60)
    ours = reference(task, 0.8)
    luckier = outcome(task, 0.85, configuration=SOFTMAX, seed=1, merit=ours.outcome.merit - 0.01)
    comparison = compare(task, ours, luckier, {})
    assert comparison.gain > 0 > comparison.expected


def test_frozen_ones_stand_in_the_order_of_their_merits_however_many_pictures_they_differ_by() -> None:
    task = make_task(n=60)
    ours = reference(task, 0.8)
    alike = replace(ours.outcome, configuration=SOFTMAX, merit=ours.outcome.merit + 0.004)
    unlike = outcome(task, 0.8, configuration=SOFTMAX, seed=3, merit=ours.outcome.merit + 0.015)
    ranked = best_first(task, ours, [compare(task, ours, one, {}) for one in (alike, unlike)])
    assert [c.outcome for c in ranked] == [unlike, alike, ours.outcome]


def test_a_loss_counts_the_other_way_round() -> None:
    task = make_task("log_loss")
    ours = reference(task, 0.7)
    better = compare(task, ours, outcome(task, 0.95, configuration=SOFTMAX, seed=1), {})
    ranked = best_first(task, ours, [better])
    assert ranked[0].outcome is not ours.outcome
    assert ranked[0].outcome.value < ours.outcome.value


@pytest.mark.parametrize("metric", METRICS)
def test_pictures_of_one_group_are_no_evidence_of_their_own(metric: str) -> None:
    """Ten copies of every picture leave the standard error where it was."""
    n, copies = 60, 10
    few = make_task(metric, n)
    before, after = outcome(few, 0.6, seed=1).scores, outcome(few, 0.8, seed=2).scores
    many = bare_task(np.tile(few.y, copies), metric=metric)
    many = replace(many, sample=replace(many.sample, groups=np.tile(np.arange(n), copies)))
    once = paired_difference(few, few.everything, before, after)
    often = paired_difference(many, many.everything, np.tile(before, (copies, 1)), np.tile(after, (copies, 1)))
    assert often[0] == pytest.approx(once[0], rel=5e-3)  # the temperature of a loss knows how many there are
    assert often[1] > 0.7 * once[1]


def test_the_same_seed_gives_the_same_error() -> None:
    task = make_task("macro_f1")
    before, after = outcome(task, 0.6, seed=1).scores, outcome(task, 0.8, seed=2).scores
    assert paired_difference(task, task.everything, before, after) == paired_difference(
        task, task.everything, before, after
    )


def test_the_expected_accuracy_lies_between_prior_and_measurement() -> None:
    task = make_task("log_loss")
    ours = reference(task, 0.7)
    gain, sd = accuracy_gain(task, ours, outcome(task, 0.9, configuration=TUNED, seed=1), PRIORS)
    assert 0.06 < gain < 0.2
    assert 0 < sd < 0.05
    assert accuracy_gain(task, ours, ours.outcome, PRIORS) == (0.0, 0.0)
    assert accuracy_gain(task, ours, outcome(task, 0.9, configuration=RIDGE, seed=1), PRIORS)[0] < gain


@pytest.mark.parametrize("metric", METRICS)
def test_the_luck_of_the_reference_is_no_merit_against_what_was_trained(metric: str) -> None:
    """It was chosen by its scores as the frozen rivals were; a trained candidate's scores have chosen nothing."""
    task = make_task(metric)
    plain = reference(task, 0.7)
    lucky = replace(plain, optimism=0.05)
    in_accuracy = 0.0 if metric == "log_loss" else 0.05
    for configuration, more in ((TUNED, in_accuracy), (SOFTMAX, 0.0)):
        found = outcome(task, 0.8, configuration=configuration, seed=1)
        before, after = (compare(task, one, found, PRIORS) for one in (plain, lucky))
        assert after.gain == pytest.approx(before.gain + more)
        assert after.stderr == before.stderr
    tuned = outcome(task, 0.8, configuration=TUNED, seed=1)
    half, whole = (accuracy_gain(task, lucky, tuned, PRIORS, share)[0] for share in (0.5, None))
    assert accuracy_gain(task, plain, tuned, PRIORS)[0] < half < whole  # an ensemble is flattered by half of it


@pytest.mark.parametrize(("cuts", "early"), [((3,), False), ((1,), True)])
def test_what_training_gains_is_told_from_the_feature_extractor(cuts: tuple[int, ...], early: bool) -> None:
    """An early cut that is ahead of it has a part of that gain already."""
    task = make_task()
    ours = reference(task, 0.7)
    configuration = replace(ours.outcome.configuration, cuts=cuts)
    assert configuration.strategy == ("early_feature_extractor" if early else "feature_extractor")
    ours = replace(ours, outcome=replace(ours.outcome, configuration=configuration), ahead=0.04)
    found = compare(task, ours, outcome(task, 0.7, seed=3, configuration=TUNED), SURE)
    assert found.expected == pytest.approx(0.02 if early else 0.06, abs=0.01)


# --- what the sampler draws -------------------------------------------------------------------------


def ranked(task: Task, *some: Outcome) -> list[int]:
    ours = reference(task, 0.5)
    numbered = [replace(one, number=number) for number, one in enumerate(some)]
    return [c.outcome.number for c in Candidates(task, ours, PRIORS, numbered).ranked()]


def right_on(task: Task, n: int, *, drawn: bool = False) -> Outcome:
    """Return a trained candidate that is right on n pictures, the first ones; one that was drawn on other ones."""
    place = (np.arange(task.sample.n) - drawn * task.sample.n // 10) % task.sample.n
    y = np.where(place < n, task.y, (task.y + 1) % 3)
    scores = np.eye(3, dtype=np.float32)[y]
    return replace(outcome(task, 0.5, configuration=TUNED), scores=scores, value=n / task.sample.n, drawn=drawn)


def test_a_draw_that_wins_by_a_picture_is_not_better_than_what_is_recommended() -> None:
    task = make_task(n=80)
    assert ranked(task, right_on(task, 56), right_on(task, 57, drawn=True))[0] == 0
    assert ranked(task, right_on(task, 56), right_on(task, 57))[0] == 1
    assert ranked(task, right_on(task, 56), right_on(task, 70, drawn=True))[0] == 1


def test_of_many_pictures_a_draw_is_worth_what_is_measured() -> None:
    task = make_task(n=8000)
    assert ranked(task, right_on(task, 5600), right_on(task, 5760, drawn=True))[0] == 1


def test_a_draw_alone_is_expected_to_gain_less() -> None:
    task = make_task(n=40)
    ours = reference(task, 0.5)
    drawn, chosen = (compare(task, ours, right_on(task, 24, drawn=drawn), PRIORS).expected for drawn in (True, False))
    assert drawn < chosen
    assert ranked(task, right_on(task, 24, drawn=True), right_on(task, 22))[0] in (0, 1)


def test_losses_of_draws_are_taken_as_measured() -> None:
    task = make_task("log_loss", n=80)
    ours = reference(task, 0.5)
    one, other = (compare(task, ours, right_on(task, n, drawn=True), PRIORS) for n in (60, 50))
    assert compare_drawn(task, ours, other, one) is one
