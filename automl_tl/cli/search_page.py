"""What a search found, as a page for people: the model, how good it is, why the search ended, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import literal
from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.report.facts.search import about_model, effort, notes_of, quality
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.trials.comparison import Comparison
from automl_tl.wording import clean

MOST_NOTES = 4


def search_page(result: SearchResult, steps: Sequence[str], *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every note.

    Args:
        result: of the search.
        steps: sentences, what to do now.
        verbose: whether every note is shown.
    """
    sections = (
        section(f"The best model for {clean(result.path)}", facts(about_model(result.summary))),
        section("How good it is", facts(quality(result.summary))),
        section("The best candidates, against the best frozen one of the sweep", _candidates(result)),
        section("The search", facts(effort(result.summary, result.table))),
        section("Worth knowing", first_items(notes_of(result.notes, result.report), None if verbose else MOST_NOTES)),
        section("Next", items(steps)),
    )
    return [one for one in sections if one is not None]


def _candidates(result: SearchResult) -> RenderableType | None:
    if not result.comparisons:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    unit = "" if result.metric in ("log_loss", "macro_f1") else " points"
    for name, right in ((f"gain{unit}", True), ("(s.e.)", True), ("expected", True), ("candidate", False)):
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    for comparison in result.comparisons:
        mark = _mark(comparison, result)
        table.add_row(*_compared(comparison, unit, mark), style="bold" if mark else "")
    return table


def _mark(comparison: Comparison, result: SearchResult) -> str:
    if comparison.outcome.configuration not in result.members:
        return ""
    return " <- delivered" if len(result.members) == 1 else " <- in the ensemble"


def _compared(comparison: Comparison, unit: str, mark: str) -> Iterator[str | Text]:
    """Yield the cells of one candidate: percentage points where the metric is a share, else the metric's own unit."""
    factor, digits = (100, 1) if unit else (1, 3)
    yield f"{factor * comparison.gain:+z.{digits}f}"
    yield f"({factor * comparison.stderr:.{digits}f})"
    yield f"{factor * comparison.expected:+z.{digits}f}"
    configuration = comparison.outcome.configuration
    yield literal(f"{configuration.strategy}: {configuration.describe()}{mark}")


def next_steps(result: SearchResult, pictures: str, again: str) -> Iterator[str]:
    """Yield what to do now.

    Args:
        result: of the search.
        pictures: what to type to mean the same data.
        again: the command that goes on with the run.
    """
    bundle = shlex.quote(str(result.bundle))
    yield f"automl-tl predict {bundle} PICTURES says what is in new pictures."
    if result.test is None:
        yield f"automl-tl evaluate {bundle} LABELLED tests the model on labelled pictures that are not in {pictures}."
    else:
        yield f"automl-tl evaluate {bundle} LABELLED tests the model on further labelled pictures."
    yield f"{again} goes on from here."
