"""From a folder of labelled pictures to a reasoned transfer strategy, in one call."""

from __future__ import annotations

import math

import numpy as np

from automl_tl.data.forms.memory import Data
from automl_tl.lab.assessment import Assessment, assess
from automl_tl.lab.considered import without_broken
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.fit_choice import seconds_to_choose, with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.lab.sample import affordable_sample, draw_sample, lonely_note
from automl_tl.learning.scores import class_weights
from automl_tl.options import RecommendOptions, takes
from automl_tl.recommender.confusion import confusion
from automl_tl.recommender.first_answer import first_answer, glance
from automl_tl.recommender.reasons import tell
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.recommender.short_training import foreseen_error, with_short_training
from automl_tl.recommender.value_of_trying import WORTH, value_of_trying
from automl_tl.torch_state import usual_state

TOTAL_SECONDS = 120.0
"""What a recommendation should take at most."""
EXTRACTION_SECONDS = 75.0
"""What feature extraction may take by default; the rest of TOTAL_SECONDS is for everything else."""
TRYING_SECONDS = 90.0
"""What is taken to be left of TOTAL_SECONDS for a short fine-tuning, where its worth is to be foreseen."""
FIT_SECONDS = 10.0
"""What trying another way to make pictures square may take."""
MOST_SCANNED = 20_000
"""Pictures that are opened; of more a stratified sample is, which serves the recommendation alone."""


@takes(RecommendOptions)
@usual_state()
def recommend(data: Data, options: RecommendOptions) -> Recommendation:
    """Look at a data set and recommend a transfer strategy, a backbone and a cut.

    Args:
        data: the path of labelled pictures, or what holds them in memory; see `automl_tl.data.open_dataset`.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    return recommend_in(lab_for(data, options), options)


def lab_for(data: Data, options: RecommendOptions) -> Lab:
    """Return the laboratory of a recommendation; of very many pictures it holds a sample."""
    return open_lab(data, options, most=max(MOST_SCANNED, 2 * (options.max_images or 0)))


def recommend_in(lab: Lab, options: RecommendOptions) -> Recommendation:
    """Return the recommendation for the laboratory's data set."""
    clock, monitor, dataset = lab.clock, lab.monitor, lab.dataset
    with clock("plan"), monitor.activity("Timing a forward pass"):
        most = len(dataset.frame) if options.max_images is None else options.max_images
        sample = draw_sample(dataset, most, lab.seed)
        costs, slow = without_broken(
            lab.networks, lab.backbones, lambda name: lab.picture_seconds(name, sample.pictures)
        )  # fmt: skip
        if options.max_images is None:
            sample = affordable_sample(sum(costs.values()), sample, dataset, lab.seed, EXTRACTION_SECONDS)
    choosing = min(FIT_SECONDS, seconds_to_choose(lab, costs, most))
    if (soon := glance(lab, sample, costs, options.budget, choosing)) is not None:
        following = f"Now all {sample.n:,}." if soon.sample.n < sample.n else "Now more thoroughly."
        monitor.say(first_answer(soon, clock.seconds["total"], following))
    with clock("features"):
        lab = with_best_fit(lab, FIT_SECONDS, most=most)
        features, lost = extract_all(lab, tuple(costs), sample.pictures)
    found = assess(lab, sample, features, options.budget)
    untried: tuple[str, ...] = ()
    if is_wanted(lab, options, found):
        spendable = (options.budget or 0.0) / 2 if options.try_training else 0.0
        monitor.say(first_answer(found, clock.seconds["total"], "Fine-tuning is tried on them for a moment."))
        seconds, allowed = max(TOTAL_SECONDS - clock.seconds["total"], spendable), max(TOTAL_SECONDS, spendable)
        with clock("training"), monitor.activity("Fine-tuning the last stages for a moment") as update:
            found, untried = with_short_training(
                lab, found, seconds=seconds, allowed=allowed, budget=options.budget, progress=update
            )  # fmt: skip
    return _recommendation(lab, found, options.budget, (*lab.notes, *slow, *lost, *lonely_note(sample), *untried))


def is_wanted(lab: Lab, options: RecommendOptions, found: Assessment) -> bool:
    """Return whether a short fine-tuning is asked for, or can change the answer where nobody said."""
    if options.try_training is not None:
        return options.try_training
    error = foreseen_error(lab, found, TRYING_SECONDS)
    return value_of_trying(found.expectations.front, error, options.budget) > WORTH


def _recommendation(lab: Lab, found: Assessment, budget: float | None, notes: tuple[str, ...]) -> Recommendation:
    """Return the recommendation that an assessment amounts to, with its reasons."""
    sample, frozen, expectations = found.sample, found.frozen, found.expectations
    predicted = frozen.path.predictions[frozen.path.best]
    measured = ~np.isin(sample.y, [sample.classes.index(label) for label in sample.lonely_classes])
    mistakes = confusion(sample.y[measured], predicted[measured], sample.classes)
    return Recommendation(
        path=lab.path,
        report=lab.report,
        n_classes=len(sample.classes),
        n_training=sample.n_training,
        n_sampled=sample.n,
        size=found.size,
        domain=found.domain,
        domains=tuple(found.domains.values()),
        matrix=found.matrix,
        strategy=found.choice.strategy,
        frozen=frozen,
        advice=found.advice,
        estimate=expectations.expected(frozen.strategy),
        front=expectations.front,
        probe=found.evidence.probe,
        majority=sample.majority,
        balanced_accuracy=_balanced_accuracy(sample.y, predicted) if measured.all() else math.nan,
        curve=expectations.curve,
        confusion=mistakes,
        flips=found.flips,
        metric=lab.metric.name,
        budget=budget,
        reasons=tell(found, mistakes),
        best=found.choice.best,
        neighbours=found.neighbours,
        seconds=lab.clock.seconds,
        notes=notes,
        extremes=found.extremes,
    )


def _balanced_accuracy(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.average(predicted == y, weights=class_weights(y)))
