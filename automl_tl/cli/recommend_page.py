"""The recommendation as a page for people: what to do, what to expect, what else there is, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import bar
from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.cli.text import clean, plural
from automl_tl.data.majority import Majority
from automl_tl.domain.similarity import DEPTH_BORDERS, Domain
from automl_tl.lab.decision import FrontRow
from automl_tl.recommender.reasons import sure
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.strategies import FROZEN

MOST_WARNINGS = 4
MOST_PROBE_ROWS = 8


def recommendation_page(
    result: Recommendation, options: str, pictures: str, *, verbose: bool = False
) -> list[RenderableType]:
    """Return the page's sections; with `verbose` the best screened sources and every note.

    `options` is what to type after a command to mean the same data and backbones, `pictures` the same data alone.
    """
    notes = [*result.report.warnings, *result.notes]
    sections = [
        section(f"Recommendation for {clean(result.path)}", facts(_what_to_do(result))),
        section("Your pictures", facts(_pictures(result))),
        section(_profile_title(result.domain), _profile(result.domain)),
        section("The four strategies on this machine", _front(result)),
        section("Why", items(result.reasons)),
        section("Screened feature sources", _probe(result)) if verbose else None,
        section("Worth knowing", first_items(notes, None if verbose else MOST_WARNINGS)),
        section("Next", items(_next_steps(result, options, pictures))),
    ]
    return [one for one in sections if one is not None]


def _what_to_do(result: Recommendation) -> Iterator[tuple[str, str]]:
    yield "strategy", result.strategy
    if result.budget is not None:
        yield "budget", f"{duration(result.budget)} of training"
    yield "backbone", result.frozen.backbone
    cuts = "+".join(map(str, result.cuts))
    whole = " (the whole ConvNet)" if max(result.cuts) == result.frozen.n_stages else ""
    yield "cut", f"{cuts} of {result.frozen.n_stages} stages{whole}, pooled by {result.pooling}"
    yield "train", _what_is_trained(result)
    yield "augmentation", result.advice.augmentation.describe()
    low, high = result.estimate.interval
    accuracy = f"{result.estimate.accuracy:.1%} accuracy"
    yield "expect", f"{accuracy} with the frozen ConvNet (90% interval {low:.1%} to {high:.1%})"
    if result.majority is not None:
        yield "", _beside_the_constant(result.majority, result.balanced_accuracy)
    if result.strategy not in FROZEN:
        row = next(row for row in result.front if row.strategy == result.strategy)
        low, high = row.interval
        yield "", f"{row.accuracy:.1%} after {result.strategy} ({low:.1%} to {high:.1%}), {_source(row)}"


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
    return f"the head, then the last {result.advice.unfreeze} of the {max(result.cuts)} stages kept, {ratio}"


def _pictures(result: Recommendation) -> Iterator[tuple[str, str]]:
    low, middle, high = result.report.class_sizes
    spread = f"{low:,} each" if low == high else f"{low:,} to {high:,} each, median {middle:g}"
    classes = plural(result.n_classes, "class", "classes")
    yield "pictures", f"{result.report.n_images:,} in {classes} ({spread}); {result.n_training:,} for training"
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
    kind = {"embedding": "embedding distance", "depth": "distance by depth"}.get(domain.measure, "embedding distance")
    return (
        f"{domain.verdict} ({kind} {domain.distance:.3f} to {domain.reference}; confidence {sure(domain.confidence)})"
    )


def _profile_title(domain: Domain) -> str:
    if domain.depth_distance is None:
        return "Domain by depth"
    low, high = DEPTH_BORDERS
    return f"Domain by depth (mean {domain.depth_distance:.2f}; similar below {low:g}, different above {high:g})"


def _profile(domain: Domain) -> RenderableType | None:
    """Return a bar per stage; a full one is twice the border, so that two profiles can be compared."""
    if all(map(math.isnan, domain.by_depth)):
        return None
    table = Table.grid(padding=(0, 1))
    full = 2 * DEPTH_BORDERS[1] if domain.depth_distance is not None else max(domain.by_depth)
    for stage, value in enumerate(domain.by_depth, 1):
        known = not math.isnan(value)
        share = min(1.0, max(value, 0.0) / max(full, 1e-9)) if known else 0.0
        table.add_row(f"stage {stage}", f"{value:.2f}" if known else "-", Text(bar(share, 30), style="cyan"))
    return table


def _front(result: Recommendation) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, right in (
        ("strategy", False),
        ("accuracy", True),
        ("90% interval", True),
        ("time", True),
        ("", False),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=bool(name))
    for row in result.front:
        mark = "<- recommended" if row.strategy == result.strategy else ""
        table.add_row(
            row.strategy, f"{row.accuracy:.1%}", f"{row.interval[0]:.1%} to {row.interval[1]:.1%}",
            duration(row.seconds), f"{_source(row)} {mark}",
            style="bold" if mark else "",
        )  # fmt: skip
    return table


def _source(row: FrontRow) -> str:
    return "measured" if row.measured else "tried" if row.tried else "by experience"


def duration(seconds: float) -> str:
    """Return seconds for people.

    >>> duration(4.2), duration(75), duration(4000)
    ('4 s', '1.2 min', '1.1 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _probe(result: Recommendation) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("backbone", "cuts", "pooling", "accuracy", "standard error"):
        table.add_column(name)
    for candidate in result.probe[: 3 * MOST_PROBE_ROWS]:
        cuts = "+".join(map(str, candidate.source.cuts))
        table.add_row(
            candidate.backbone,
            cuts,
            candidate.source.pooling,
            f"{candidate.accuracy:.1%}",
            f"{candidate.stderr:.1%}",
        )
    return table


def _next_steps(result: Recommendation, options: str, pictures: str) -> Iterator[str]:
    yield f"automl-tl search {options} --budget 10m finds and trains the best model in ten minutes."
    if not any(row.tried for row in result.front):
        yield f"automl-tl recommend {options} --try-training measures on your pictures what fine-tuning gains."
    yield f"automl-tl recommend {options} --budget 10m weighs the strategies for ten minutes of training."
    yield f"automl-tl inspect {pictures} shows the pictures alone (--verbose: every file)."
    yield f"automl-tl recommend {options} --format json gives everything above to a program."
