"""The reasons, in sentences: each is made from what was measured on this data set and true of it alone."""

from __future__ import annotations

from collections.abc import Iterator

from automl_tl.data.names import printable
from automl_tl.domain.similarity import Domain
from automl_tl.lab.assessment import Assessment
from automl_tl.lab.decision import Choice
from automl_tl.lab.evidence import Candidate, why_chosen
from automl_tl.lab.expectations import Expectations
from automl_tl.lab.matrix import Matrix, Size
from automl_tl.lab.sample import Sample
from automl_tl.learning.estimate import paired_gain
from automl_tl.recommender.confusion import Confusion
from automl_tl.strategies import FROZEN

_VISIBLE = 0.0005
_GUESS = 0.4
"""An interval wider than this is said to be a guess."""
_NEAR_BORDER = 0.25
"""A runner-up of at least this probability is named."""
_UNLIKELY = 0.05
"""Strategies of a smaller probability of being the best are not named."""
_AMOUNTS = {"small": "few", "large": "many"}
_NAMED = 3
"""Data sets of the panel that are named."""


def tell(found: Assessment, mistakes: Confusion) -> tuple[str, ...]:
    """Return the reasons for a recommendation, the weightiest first."""
    return (
        domain_sentence(found.domain),
        size_sentence(found.size),
        matrix_sentence(found.matrix, found.domain),
        *([found.tried] if found.tried else []),
        *found.choice.reasons,
        best_sentence(found.choice),
        *neighbour_sentences(found),
        found.evidence.backbone_reason,
        *_cut_sentences(found),
        *expectation_sentences(found.expectations, found.frozen, found.choice, found.sample),
        *_majority_sentence(found.sample),
        *_curve_sentence(found.expectations, found.sample),
        *_confusion_sentences(mistakes),
        *found.advice.reasons,
    )


def sure(probability: float) -> str:
    """Return a probability for people: nothing measured is certain.

    >>> sure(0.83), sure(0.998), sure(0.0)
    ('83%', 'over 99%', 'under 1%')
    """
    if probability > 0.99:
        return "over 99%"
    return "under 1%" if probability < 0.01 else f"{probability:.0%}"


def domain_sentence(domain: Domain) -> str:
    """Say how far the pictures lie from the pretraining domain, and how sure that is."""
    if domain.verdict == "unknown":
        return f"How far the pictures lie from the pretraining domain is unknown: {domain.note}."
    words = {"similar": "similar to", "different": "different from", "borderline": "on the border of"}
    what = {"embedding": "embedding distance", "depth": "distance by depth", "proxy": "embedding distance by proxy"}
    leaning = ""
    if domain.verdict == "borderline" and domain.different is not None:
        leaning = ", leaning to " + ("different" if domain.different > 0.5 else "similar")
    text = (
        f"The pictures are {words[domain.verdict]} the pretraining domain of {domain.backbone}{leaning}: "
        f"{what[domain.measure]} {domain.distance:.3f} to {domain.reference}, confidence {sure(domain.confidence)}"
    )
    return f"{text}; {domain.note}." if domain.note else f"{text}."


def size_sentence(size: Size) -> str:
    """Say whether the pictures are few or many for the backbone, and by which border."""
    ratio = f"{size.ratio:.2g}" if size.ratio < 10 else f"{size.ratio:,.0f}"
    text = (
        f"{size.n_images:,} training pictures, a median of {size.per_class:g} per class, are {_AMOUNTS[size.verdict]} "
        f"for a backbone of {size.n_parameters / 1e6:.1f} million parameters (border: about {size.border_total:,}; "
        f"this is {ratio} times it), confidence {sure(size.confidence)}"
    )
    if size.extrapolated:
        text += "; how such sets fare was measured on smaller ones alone"
    return f"{text}."


def matrix_sentence(matrix: Matrix, domain: Domain) -> str:
    """Say which cell of the matrix that is, the runner-up where it is close, and where columns and verdict differ."""
    if matrix.cell is None:
        return "Without a domain verdict the matrix names no cell."
    text = f"The matrix names {matrix.cell}"
    probability = matrix.probabilities[matrix.runner_up]
    if probability >= _NEAR_BORDER:
        text += f"; {matrix.runner_up} is close ({probability:.0%} against {matrix.probabilities[matrix.cell]:.0%})"
    if domain.different is not None and 0.5 < domain.different <= matrix.border:
        text += (
            f"; on the panel its column of the different is better only from a probability of {sure(matrix.border)} "
            f"on, and here it is {sure(domain.different)}"
        )
    return f"{text}."


def best_sentence(choice: Choice) -> str:
    """Say how sure it is which strategy is the most accurate one, time no object.

    >>> best_sentence(Choice("fine_tuning", {"fine_tuning": 0.61, "feature_extractor": 0.39}, ()))
    'Most accurate, time no object: fine_tuning (61%), feature_extractor (39%).'
    """
    ranked = sorted(choice.best.items(), key=lambda item: -item[1])
    named = [f"{name} ({sure(share)})" for name, share in ranked if share >= _UNLIKELY]
    return f"Most accurate, time no object: {', '.join(named)}."


def neighbour_sentences(found: Assessment) -> Iterator[str]:
    """Name the data sets of the panel that are most like this one, and what was best on them."""
    near, chosen, cell = found.neighbours, found.choice.strategy, found.matrix.cell
    if not near:
        return
    shown = "; ".join(
        f"{one.name} with {one.n_training} pictures of {one.n_classes} classes, where {one.best} was "
        f"best ({one.reached[one.best]:.1%})"
        for one in near[:_NAMED]
    )
    lead = "Most like this data set on the panel"
    if cell is not None and cell != chosen:
        tried = [one for one in near if {chosen, cell} <= one.reached.keys()]
        better = sum(one.reached[chosen] > one.reached[cell] for one in tried)
        if 2 * better > len(tried):  # else it is no reason: a budget or these pictures themselves decided
            lead = (
                f"On {better} of the {len(tried)} most similar data sets of the panel {chosen} did better than {cell}"
            )
    yield f"{lead}: {shown}."


def _cut_sentences(found: Assessment) -> Iterator[str]:
    """Compare the chosen cuts with the whole ConvNet as it is."""
    evidence, frozen, sample = found.evidence, found.frozen, found.sample
    whole = [
        c for c in evidence.probe
        if c.backbone == frozen.backbone and c.source.cuts == (frozen.n_stages,) and c.source.pooling == "mean"
    ]  # fmt: skip
    if not whole or whole[0].source == frozen.source:
        yield f"Of all sources screened for {frozen.strategy} the last stage's means were the best."
        return
    screened = evidence.screened(frozen)
    rows = screened.rows
    y = sample.y[rows]
    ours, theirs = (c.path.predictions[c.path.best] == y for c in (screened, whole[0]))
    gain, stderr = paired_gain(theirs, ours, sample.groups[rows])
    cuts = "+".join(map(str, frozen.source.cuts))
    looked_at = "" if len(rows) == sample.n else f" on the {len(rows):,} pictures that all sources were screened on"
    by = why_chosen(screened, whole[0], gain, evidence.metric)
    whose = "" if found.choice.strategy in FROZEN else "The frozen model: "
    yield (
        f"{whose}Cut {cuts} of {frozen.n_stages} with {frozen.source.pooling} pooling instead of the whole ConvNet's "
        "means: "
        f"{100 * gain:+z.1f} points{looked_at} (standard error {100 * stderr:.1f}), not corrected for the choice{by}."
    )


def expectation_sentences(
    expectations: Expectations, frozen: Candidate, choice: Choice, sample: Sample
) -> Iterator[str]:
    """Yield what the frozen model should reach, what moved that, and what it rests on."""
    estimate = expectations.expected(frozen.strategy)
    low, high = estimate.interval
    text = (
        f"The frozen model should reach {estimate.accuracy:.1%} on new pictures (90% interval {low:.1%} to {high:.1%})"
    )
    if estimate.optimism > _VISIBLE:
        text += f"; {100 * estimate.optimism:.1f} points were taken off for having chosen the best of many"
    if abs(estimate.claim) > _VISIBLE:
        counted, claimed = frozen.accuracy - estimate.optimism, frozen.path.confidence
        text += (
            f"; {100 * abs(estimate.claim):.1f} points were {'added' if estimate.claim > 0 else 'taken off'} as its "
            f"probabilities claim {claimed:.1%}, where counting comes to {counted:.1%}"
        )
    yield f"{text}."
    if high - low > _GUESS:
        yield f"On {sample.n} pictures that is little more than a guess: more pictures would make it an answer."
    row = next(row for row in expectations.front if row.strategy == choice.strategy)
    if row.tried:
        yield f"What {choice.strategy} adds to that, {100 * row.gain:+z.1f} points, is partly measured here."
    if sample.n < sample.n_training:
        yield (
            f"The evidence rests on a stratified sample of {sample.n:,} of {sample.n_training:,} training pictures; "
            "--max-images sets how many."
        )


def _majority_sentence(sample: Sample) -> Iterator[str]:
    if (constant := sample.majority) is not None:
        yield (
            f"Always answering '{printable(constant.label)}' scores {constant.accuracy:.1%}: compare accuracy with "
            "that, and look at the balanced accuracy, in which every class counts the same."
        )


def _curve_sentence(expectations: Expectations, sample: Sample) -> Iterator[str]:
    if not expectations.curve.is_measured:
        return
    gain, _ = expectations.curve.step(sample.n_training, 2 * sample.n_training)
    yield f"About {100 * gain:+z.1f} points with twice as many pictures, by the learning curve."


def _confusion_sentences(mistakes: Confusion) -> Iterator[str]:
    if mistakes.pairs:
        pairs = ", ".join(
            f"{printable(p.true)} taken for {printable(p.predicted)} ({p.count} of them, {sure(p.share)})"
            for p in mistakes.pairs
        )
        yield f"Most often confused: {pairs}."
    if mistakes.weakest:
        weak = ", ".join(
            f"{printable(w.label)} ({round(w.recall * w.count)} of {w.count} right)" for w in mistakes.weakest
        )
        yield f"More pictures would help most for: {weak}."
