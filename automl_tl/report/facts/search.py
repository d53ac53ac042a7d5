"""A search in named facts: the model, how good it is, and what was spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from automl_tl.data.majority import Majority
from automl_tl.durations import format_duration
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.result import SearchResult
from automl_tl.wording import clean, metric_words, plural

VIEWS = {"flips": " on every picture, mirrored as well", "flips+zoom": " on every picture, mirrored and zoomed as well"}


def about_model(result: SearchResult) -> Iterator[tuple[str, str]]:
    """Yield what the delivered model is."""
    yield from about_configuration(result.best)
    for other, share in list(zip(result.members, result.shares, strict=True))[1:]:
        yield "together with", f"{other.strategy}: {other.describe()}, which weighs {share:.0%}"


def about_configuration(best: Configuration) -> Iterator[tuple[str, str]]:
    """Yield what a configuration is."""
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


def quality(result: SearchResult) -> Iterator[tuple[str, str]]:
    """Yield how good it is, and how good it was expected to be."""
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


def effort(result: SearchResult) -> Iterator[tuple[str, str]]:
    """Yield what was tried and spent, and where everything lies."""
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


def notes_of(result: SearchResult) -> Iterable[str]:
    """Return what else the user should know, each sentence once."""
    report = result.report
    first = report.warnings[:1] if report.leaks else ()  # what makes every number doubtful
    return dict.fromkeys([*first, *result.notes, *report.warnings])
