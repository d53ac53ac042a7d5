"""A recommendation in named facts: what to do, and what the pictures are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from automl_tl.data.majority import Majority
from automl_tl.domain.similarity import Domain
from automl_tl.durations import format_duration
from automl_tl.lab.decision import FrontRow
from automl_tl.recommender.reasons import sure
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.report.facts.data import looked_at
from automl_tl.strategies import FROZEN
from automl_tl.wording import clean, plural


def what_to_do(result: Recommendation) -> Iterator[tuple[str, str]]:
    """Yield what is recommended, and what to expect of it."""
    yield "strategy", result.strategy
    if result.budget is not None:
        yield "budget", f"{format_duration(result.budget)} of training"
    yield "backbone", result.frozen.backbone
    cuts = "+".join(map(str, result.cuts))
    whole = " (the whole ConvNet)" if max(result.cuts) == result.frozen.n_stages else ""
    yield "cut", f"{cuts} of {result.frozen.n_stages} stages{whole}, pooled by {result.pooling}"
    yield "train", _what_is_trained(result)
    if result.strategy not in FROZEN:
        yield "augmentation", result.advice.augmentation.describe()
    if result.metric != "accuracy":
        yield "metric", f"{result.metric} chooses backbone, cut and classifier; strategies are compared by accuracy"
    low, high = result.estimate.interval
    accuracy = f"{result.estimate.accuracy:.1%} accuracy"
    yield "expect", f"{accuracy} with the frozen ConvNet (90% interval {low:.1%} to {high:.1%})"
    if result.majority is not None:
        yield "", _beside_the_constant(result.majority, result.balanced_accuracy)
    if result.strategy not in FROZEN:
        row = next(row for row in result.front if row.strategy == result.strategy)
        low, high = row.interval
        yield "", f"{row.accuracy:.1%} after {result.strategy} ({low:.1%} to {high:.1%}), {origin(row)}"


def _beside_the_constant(constant: Majority, balanced_accuracy: float) -> str:
    balanced = "cannot be measured" if math.isnan(balanced_accuracy) else f"is {balanced_accuracy:.1%}"
    return (
        f"always answering '{clean(constant.label)}' scores {constant.accuracy:.1%}; the balanced accuracy {balanced}"
    )


def _what_is_trained(result: Recommendation) -> str:
    if result.strategy in FROZEN:
        return f"a {result.frozen.path.kind} classifier; the ConvNet stays frozen"
    ratio = f"the head's learning rate {result.advice.lr_ratio:g} times theirs"
    if result.strategy == "pretrained_initialization":
        return f"all {result.advice.unfreeze} stages and the head, {ratio}"
    if result.advice.unfreeze == max(result.cuts):
        return f"the head, then every stage with it, {ratio}"
    last = "the last" if result.advice.unfreeze == 1 else f"the last {result.advice.unfreeze}"
    return f"the head, then {last} of the {max(result.cuts)} stages kept, {ratio}"


def about_pictures(result: Recommendation) -> Iterator[tuple[str, str]]:
    """Yield what the pictures are, and where they lie."""
    low, middle, high = result.report.class_sizes
    spread = f"{low:,} each" if low == high else f"{low:,} to {high:,} each, median {middle:g}"
    classes = plural(result.n_classes, "class", "classes")
    training = f"{'about ' if result.report.drawn else ''}{result.n_training:,} for training"
    yield "pictures", f"{looked_at(result.report)} in {classes} ({spread}); {training}"
    if result.n_sampled < result.n_training:
        yield "sample", f"{result.n_sampled:,} of them were looked at (stratified; --max-images changes that)"
    if result.report.n_duplicates or result.report.n_unreadable:
        duplicates = plural(result.report.n_duplicates, "duplicate")
        yield "trouble", f"{duplicates}, {result.report.n_unreadable:,} unreadable"
    yield "fit", f"{result.report.fit}: {result.report.fit_reason}"
    yield "size", f"{result.size.verdict} (confidence {sure(result.size.confidence)})"
    yield "domain", _domain(result.domain)
    if result.domain.looks_like:
        seen = ", ".join(f"{clean(label)} {share:.0%}" for label, share in result.domain.looks_like)
        yield "they look like", f"{seen} (to {result.domain.backbone})"


def _domain(domain: Domain) -> str:
    if domain.distance is None:
        return f"{domain.verdict}: {domain.note}"
    kind = "distance by depth" if domain.measure == "depth" else "embedding distance"
    told = f"{kind} {domain.distance:.3f} to {domain.reference}; confidence {sure(domain.confidence)}"
    return f"{domain.verdict} ({told}{f'; {domain.note}' if domain.measure == 'proxy' else ''})"


def origin(row: FrontRow) -> str:
    """Return what a strategy's expected accuracy rests on, in a word or two."""
    return "measured" if row.measured else "tried" if row.tried else "by experience"
