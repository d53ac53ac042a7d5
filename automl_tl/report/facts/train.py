"""The training of one configuration in named facts: how good it is, and what was spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from automl_tl.durations import format_duration
from automl_tl.report.facts.search import about_configuration
from automl_tl.searcher.summary import TrainSummary
from automl_tl.wording import metric_words, plural


def about_trained_model(found: TrainSummary) -> Iterator[tuple[str, str]]:
    """Yield what the model is."""
    yield from about_configuration(found.configuration)
    if found.origin is not None:
        yield "goes on from", found.origin.describe()


def quality_of_training(found: TrainSummary) -> Iterator[tuple[str, str]]:
    """Yield how good the model is."""
    yield "validation", f"{_reached(found.validation, found.metric)} that it had not learned from"
    if found.configuration.is_trained:
        score = metric_words(found.metric, found.value)
        yield "score", f"{score} of all pictures, estimated from these as in a search"
    if found.test is None:
        yield "test", "none: no pictures were held aside; automl-tl evaluate tests it on further ones"
    else:
        yield "test", f"{_reached(found.test, found.metric)} that no decision has seen"
    if found.recommended != found.configuration.strategy:
        yield "recommended", f"{found.recommended}, before anything was trained"


def effort_of_training(found: TrainSummary) -> Iterator[tuple[str, str]]:
    """Yield what was spent, and where everything lies."""
    yield "learned from", plural(found.n_training, "picture")
    yield "time", format_duration(found.seconds)
    yield "model", str(found.bundle)
    yield "run", str(found.bundle.parent)


def _reached(numbers: Mapping[str, float], metric: str) -> str:
    more = "" if metric == "accuracy" else f" ({metric_words(metric, numbers[metric])})"
    return f"{numbers['accuracy']:.1%}{more} of {plural(int(numbers['n']), 'picture')}"
