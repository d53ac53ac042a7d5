"""A search in named facts: the model, how good it is, and what was spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

import pandas as pd

from automl_tl.data.listing import Skipped
from automl_tl.data.majority import Majority
from automl_tl.data.names import quoted
from automl_tl.data.quality import QualityReport
from automl_tl.durations import format_duration
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.summary import Sampled, SearchSummary
from automl_tl.searcher.trials.attributes import INTERRUPTED
from automl_tl.wording import clean, metric_words, plural

VIEWS = {
    "flips": " on every picture, mirrored as well where that keeps the label",
    "flips+zoom": " on every picture, zoomed as well, and mirrored where that keeps the label",
}


def about_model(found: SearchSummary) -> Iterator[tuple[str, str]]:
    """Yield what the delivered model is."""
    yield from about_configuration(found.best)
    for other, share in list(zip(found.members, found.shares, strict=True))[1:]:
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


def quality(found: SearchSummary) -> Iterator[tuple[str, str]]:
    """Yield how good it is, and how good it was expected to be."""
    test, constant = found.test, found.majority
    if test is None:
        yield "test", "none: no pictures were held aside; automl-tl evaluate tests it on further ones"
    else:
        more = "" if found.metric == "accuracy" else f", {metric_words(found.metric, test[found.metric])}"
        yield "test", f"{test['accuracy']:.1%} of {plural(int(test['n']), 'picture')} that no decision has seen{more}"
        if constant is not None:
            yield "", f"{_constant(constant)}; the balanced accuracy is {test['balanced_accuracy']:.1%}"
    if test is None and constant is not None:
        yield "constant answer", f"{_constant(constant)}; --metric balanced_accuracy counts every class the same"
    expected, (low, high) = found.expected
    yield "expected", f"{expected:.1%} (90% interval {low:.1%} to {high:.1%}), corrected for having chosen the best"
    if found.metric != "accuracy":
        yield "by its trial", f"{metric_words(found.metric, found.value)}, not corrected"
    accuracy, (low, high) = found.predicted
    advice = "" if found.recommended == found.best.strategy else f"; {found.recommended} was recommended then"
    interval = f"90% interval {low:.1%} to {high:.1%}"
    yield "predicted", f"{accuracy:.1%} ({interval}) of {found.best.strategy}, before anything was tried{advice}"


def _constant(constant: Majority) -> str:
    return f"always answering '{clean(constant.label)}' scores {constant.accuracy:.1%}"


def effort(found: SearchSummary, table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield what was tried and spent, and where everything lies; `table` is the leaderboard."""
    trials = table[table["kind"] == "trial"]
    unfinished = found.n_trials - int((trials["state"] == "complete").sum())
    interrupted = int((trials["reason"] == INTERRUPTED).sum())
    refused = len(trials) - interrupted - found.n_trials
    more = f" ({unfinished:,} of them ended early; the leaderboard says why)" if unfinished > 0 else ""
    more += f"; {plural(refused, 'proposal')} did not fit" if refused > 0 else ""
    more += f"; {plural(interrupted, 'trial')} interrupted" if interrupted else ""
    swept = int((table["kind"] == "sweep").sum())
    before = f"{plural(swept, 'frozen candidate')} in the sweep, then " if swept else ""  # none of them was asked for
    yield "tried", f"{before}{plural(found.n_trials, 'trial')}{more}"
    if found.sample is not None:
        yield "pictures", _sampled(found.sample)
    budget = "" if found.budget is None else f" of {format_duration(found.budget)}"
    yield "time", f"{format_duration(found.seconds)}{budget}"
    yield "ended because", found.stopped_because
    yield "model", str(found.bundle)
    yield "leaderboard", str(found.leaderboard)
    yield "run", str(found.bundle.parent)


def _sampled(sample: Sampled) -> str:
    learned = " and ".join(f"{n:,}" for n in dict.fromkeys(sample.refitted_on))
    return f"chosen on {sample.chosen_on:,} of {sample.of:,} for training, learned from {learned}"


def notes_of(notes: Iterable[str], report: QualityReport | None) -> tuple[str, ...]:
    """Return what else the user should know, each sentence once; `report` is on the pictures, where it is known."""
    warnings = () if report is None else report.warnings
    first = warnings[:1] if report is not None and report.leaks else ()  # what makes every number doubtful
    missing = () if report is None else _unreadable(report.unreadable)
    return tuple(dict.fromkeys([*first, *missing, *notes, *warnings]))


def _unreadable(left_out: Sequence[Skipped]) -> tuple[str, ...]:
    if not left_out:
        return ()
    names = quoted([PurePath(one.path).name for one in left_out], at_most=3)
    return (f"{plural(len(left_out), 'picture')} left out, as not readable ({names}): automl-tl inspect says why.",)
