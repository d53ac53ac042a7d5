"""What a search found, as a page for people: the model, how good it is, why the search ended, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import literal
from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.cli.text import clean, metric_words, plural
from automl_tl.data.majority import Majority
from automl_tl.durations import format_duration
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.trials.comparison import Comparison

MOST_NOTES = 4
VIEWS = {"flips": " on every picture, mirrored as well", "flips+zoom": " on every picture, mirrored and zoomed as well"}


def search_page(result: SearchResult, pictures: str, again: str, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every note.

    Args:
        result: of the search.
        pictures: what to type to mean the same data.
        again: the command that goes on with the run.
        verbose: whether every note is shown.
    """
    sections = (
        section(f"The best model for {clean(result.path)}", facts(_found(result))),
        section("How good it is", facts(_quality(result))),
        section("The best candidates, against the best frozen one of the sweep", _candidates(result)),
        section("The search", facts(_effort(result))),
        section("Worth knowing", first_items(_notes(result), None if verbose else MOST_NOTES)),
        section("Next", items(_next_steps(result, pictures, again))),
    )
    return [one for one in sections if one is not None]


def _found(result: SearchResult) -> Iterator[tuple[str, str]]:
    yield from configuration_facts(result.best)
    for other, share in list(zip(result.members, result.shares, strict=True))[1:]:
        yield "together with", f"{other.strategy}: {other.describe()}, which weighs {share:.0%}"


def configuration_facts(best: Configuration) -> Iterator[tuple[str, str]]:
    """Yield what a configuration is, by name."""
    cuts = "+".join(map(str, best.cuts))
    whole = " (the whole ConvNet)" if max(best.cuts) == best.n_stages else ""
    yield "strategy", best.strategy
    yield "backbone", best.backbone
    yield "cut", f"{cuts} of {plural(best.n_stages, 'stage')}{whole}, pooled by {best.pooling}"
    yield "trained", _what_was_trained(best)
    if not isinstance(best.how, Frozen):
        yield "augmentation", best.how.policy.describe()


def _what_was_trained(best: Configuration) -> str:
    how = best.how
    balanced = ", every class counting the same" if best.balanced else ""
    if isinstance(how, Frozen):
        return f"a {how.classifier} classifier{VIEWS.get(how.views, '')}{balanced}; the ConvNet stays frozen"
    kept = max(best.cuts)
    stages = f"all {kept} stages" if how.unfrozen >= kept else f"the last {how.unfrozen} of {plural(kept, 'stage')}"
    head = f"a {how.layers.replace('_', ' ')} head"
    first = f"the head alone for {plural(how.head_epochs, 'epoch')}, then " if how.head_epochs else ""
    return f"{first}{stages} and {head} for {plural(how.epochs, 'epoch')}{balanced}"


def _quality(result: SearchResult) -> Iterator[tuple[str, str]]:
    test = result.test
    if test is None:
        yield "test", "none: no pictures were held aside; automl-tl evaluate tests it on further ones"
    else:
        constant = test.majority
        more = "" if result.metric == "accuracy" else f", {metric_words(result.metric, getattr(test, result.metric))}"
        yield "test", f"{test.accuracy:.1%} of {plural(result.n_test, 'picture')} that no decision has seen{more}"
        if constant is not None:
            yield "", f"{_constant(constant)}; the balanced accuracy is {test.balanced_accuracy:.1%}"
    low, high = result.validation.interval
    corrected = "corrected for having chosen the best"
    if test is None and (constant := result.assessment.sample.majority) is not None:
        yield "constant answer", f"{_constant(constant)}; --metric balanced_accuracy counts every class the same"
    yield "expected", f"{result.validation.accuracy:.1%} (90% interval {low:.1%} to {high:.1%}), {corrected}"
    if result.metric != "accuracy":
        yield "by its trial", f"{metric_words(result.metric, result.value)}, not corrected"
    accuracy, (low, high) = result.predicted
    yield "predicted", f"{accuracy:.1%} (90% interval {low:.1%} to {high:.1%}) by recommend, of {result.best.strategy}"
    if result.recommended != result.best.strategy:
        yield "recommended", f"{result.recommended}, before the search"


def _constant(constant: Majority) -> str:
    return f"always answering '{clean(constant.label)}' scores {constant.accuracy:.1%}"


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
    yield f"{factor * comparison.gain:+.{digits}f}"
    yield f"({factor * comparison.stderr:.{digits}f})"
    yield f"{factor * comparison.expected:+.{digits}f}"
    configuration = comparison.outcome.configuration
    yield literal(f"{configuration.strategy}: {configuration.describe()}{mark}")


def _effort(result: SearchResult) -> Iterator[tuple[str, str]]:
    states = result.table[result.table["kind"] == "trial"]["state"].value_counts()
    unfinished = result.n_trials - int(states.get("complete", 0))
    refused = int(states.sum()) - result.n_trials
    pruned = f" ({unfinished:,} of them ended early; the leaderboard says why)" if unfinished > 0 else ""
    pruned += f"; {plural(refused, 'proposal')} did not fit" if refused > 0 else ""
    swept = int((result.table["kind"] == "sweep").sum())
    yield "tried", f"{plural(swept, 'frozen candidate')} in the sweep, then {plural(result.n_trials, 'trial')}{pruned}"
    budget = "" if result.budget is None else f" of {format_duration(result.budget)}"
    yield "time", f"{format_duration(result.seconds)}{budget}"
    yield "ended because", result.stopped_because
    yield "model", str(result.bundle)
    yield "leaderboard", str(result.leaderboard)
    yield "run", str(result.bundle.parent)


def _notes(result: SearchResult) -> Iterable[str]:
    report = result.report
    first = report.warnings[:1] if report.leaks else ()  # what makes every number doubtful
    return dict.fromkeys([*first, *result.notes, *report.warnings])


def _next_steps(result: SearchResult, pictures: str, again: str) -> Iterator[str]:
    bundle = shlex.quote(str(result.bundle))
    yield f"automl-tl predict {bundle} PICTURES says what is in new pictures."
    if result.test is None:
        yield f"automl-tl evaluate {bundle} LABELLED tests the model on labelled pictures that are not in {pictures}."
    else:
        yield f"automl-tl evaluate {bundle} LABELLED tests the model on further labelled pictures."
    yield f"{again} goes on from here."
