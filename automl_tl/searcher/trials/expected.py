"""What a candidate should reach on new pictures: what the reference should, and the candidate's gain on it."""

from __future__ import annotations

import math

from automl_tl.learning.estimate import Estimate, add_gain, binomial_stderr, combine_gain
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.comparison import accuracy_gain
from automl_tl.searcher.trials.outcome import Outcome


def expected_of(
    session: Session, prepared: Prepared, candidates: Candidates, outcome: Outcome, trained: float | None = None
) -> Estimate:
    """Return the expected accuracy of a candidate: the reference's, corrected for its choice, and its gain on that.

    What is expected of frozen features is what they reach when all training pictures are learned from. Where it is a
    sample of these, what the others would add is taken off, by the learning curve.

    Args:
        session, prepared: of the search.
        candidates: that are known so far, with their reference.
        outcome, trained: see `accuracy_gain`.
    """
    task, reference = candidates.task, candidates.reference
    base = _of_reference(session, prepared, candidates)
    gain, sd = accuracy_gain(task, reference, outcome, candidates.priors, trained)
    errors = max(1 - base.accuracy, 1 / task.sample.n)
    return combine_gain(base, gain / errors, sd / errors)


def _of_reference(session: Session, prepared: Prepared, candidates: Candidates) -> Estimate:
    """Return what the reference should reach on new pictures.

    That is the estimate of its strategy's best source. Where limits rule that out, it is as much lower as the reference
    is measured to be, with the noise of both as if they were independent, which they are not: rather too wide.
    """
    task, found = candidates.task, prepared.assessment
    outcome, estimates = candidates.reference.outcome, found.expectations.estimates
    strategy = outcome.configuration.strategy
    rated = strategy if strategy in estimates else next(iter(estimates))
    base, source = estimates[rated], found.expectations.candidates[rated]
    if session.limits.rules_out(source.backbone, source.source.cuts):
        accuracy = float((outcome.predictions == task.y[outcome.rows]).mean())
        noise = math.hypot(source.stderr, binomial_stderr(accuracy, len(outcome.rows)))
        return add_gain(base, accuracy - source.accuracy, noise)
    if task.sample.n < found.sample.n_training and rated == strategy == "feature_extractor":
        return add_gain(base, found.expectations.curve.step(found.sample.n_training, task.sample.n)[0], 0.0)
    return base
