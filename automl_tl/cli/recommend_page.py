"""The recommendation as a page for people: what to do, what to expect, what else there is, and why."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import bar
from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.cli.strategies_page import front_table
from automl_tl.domain.similarity import DEPTH_BORDERS, Domain
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.report.facts.recommendation import about_pictures, what_to_do
from automl_tl.strategies import FROZEN
from automl_tl.wording import clean

MOST_WARNINGS = 4
MOST_PROBE_ROWS = 24


def recommendation_page(result: Recommendation, steps: Sequence[str], *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` the best screened sources and every note.

    `steps` are sentences, what to do now.
    """
    notes = [*result.report.warnings, *result.notes]
    sections = [
        section(f"Recommendation for {clean(result.path)}", facts(what_to_do(result))),
        section("Your pictures", facts(about_pictures(result))),
        section(_profile_title(result.domain), _profile(result.domain)),
        section("The four strategies on this machine", front_table(result)),
        section("Why", items(result.reasons)),
        section("Screened feature sources", _probe(result)) if verbose else None,
        section("Worth knowing", first_items(notes, None if verbose else MOST_WARNINGS)),
        section("Next", items(steps)),
    ]
    return [one for one in sections if one is not None]


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


def _probe(result: Recommendation) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("backbone", "cuts", "pooling", "accuracy", "standard error"):
        table.add_column(name)
    for candidate in result.probe[:MOST_PROBE_ROWS]:
        cuts = "+".join(map(str, candidate.source.cuts))
        table.add_row(
            candidate.backbone, cuts, candidate.source.pooling, f"{candidate.accuracy:.1%}", f"{candidate.stderr:.1%}"
        )
    return table


@dataclass(frozen=True)
class TypedAgain:
    """What to type after a command to mean the same."""

    data: str
    """The data alone."""
    train: str
    """What `train` has of it, the backbone excepted."""
    search: str
    untried: str
    """All that `recommend` was given but whether it tries training."""
    recommend: str
    tries_training: bool
    """Whether it was told to."""


def next_steps(result: Recommendation, typed: TypedAgain) -> Iterator[str]:
    """Yield what to do now; last of all, what does as is recommended."""
    yield f"automl-tl search {typed.search} --budget 10m finds and trains the best model in ten minutes."
    if not (typed.tries_training or any(row.tried for row in result.front)):
        yield f"automl-tl recommend {typed.untried} --try-training measures on your pictures what fine-tuning gains."
    if result.budget is None:
        yield f"automl-tl recommend {typed.recommend} --budget 10m weighs the strategies for ten minutes of training."
    yield f"automl-tl inspect {typed.data} shows the pictures alone (--verbose: every file)."
    yield f"automl-tl recommend {typed.recommend} --format json gives everything above to a program."
    yield f"automl-tl train {typed.train} {_recommended(result)} does exactly what is recommended here."


def _recommended(result: Recommendation) -> str:
    """Return the recommendation as options of `train`."""
    words = ["--backbone", result.frozen.backbone, "--strategy", result.strategy]
    if result.strategy in FROZEN:
        words += ["--cuts", "+".join(map(str, result.cuts)), "--pooling", result.pooling]
        words += ["--classifier", result.frozen.path.kind]
    elif result.strategy == "fine_tuning":
        words += ["--unfreeze", str(result.advice.unfreeze)]
    return shlex.join(words)
