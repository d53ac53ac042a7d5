"""What one configuration came to, as a page for people: the model, its training, how good it is, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.durations import format_duration
from automl_tl.model.evaluate import Evaluation
from automl_tl.report.facts.search import about_configuration
from automl_tl.searcher.train_result import TrainResult
from automl_tl.wording import clean, metric_words, plural

MOST_NOTES, MOST_EPOCHS = 4, 10


def train_page(result: TrainResult, pictures: str, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every epoch and note.

    Args:
        result: of the training.
        pictures: what to type to mean the same data.
        verbose: whether everything is shown.
    """
    notes = dict.fromkeys([*result.notes, *result.report.warnings])
    sections = (
        section(f"The model for {clean(result.path)}", facts(_model(result))),
        section("How good it is", facts(_quality(result))),
        section("Epochs, without the validation part", _epochs(result, None if verbose else MOST_EPOCHS)),
        section("The training", facts(_effort(result))),
        section("Worth knowing", first_items(notes, None if verbose else MOST_NOTES)),
        section("Next", items(_next_steps(result, pictures))),
    )
    return [one for one in sections if one is not None]


def _model(result: TrainResult) -> Iterator[tuple[str, str]]:
    yield from about_configuration(result.configuration)
    if result.origin is not None:
        yield "goes on from", result.origin.describe()


def _quality(result: TrainResult) -> Iterator[tuple[str, str]]:
    yield "validation", f"{_reached(result.validation, result.metric)} that it had not learned from"
    if result.configuration.is_trained:
        yield (
            "score",
            f"{metric_words(result.metric, result.value)} of all pictures, estimated from these as in a search",
        )
    if result.test is None:
        yield "test", "none: no pictures were held aside; automl-tl evaluate tests it on further ones"
    else:
        yield "test", f"{_reached(result.test, result.metric)} that no decision has seen"
    if result.recommended != result.configuration.strategy:
        yield "recommended", f"{result.recommended}, before anything was trained"


def _reached(evaluation: Evaluation, metric: str) -> str:
    more = "" if metric == "accuracy" else f" ({metric_words(metric, getattr(evaluation, metric))})"
    return f"{evaluation.accuracy:.1%}{more} of {plural(evaluation.n, 'picture')}"


def _epochs(result: TrainResult, most: int | None) -> RenderableType | None:
    """Return loss, rate and score of the last epochs, `most` of them or all."""
    if not result.history:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("epoch", "loss", "rate", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = result.history if most is None else result.history[-most:]
    if len(shown) < len(result.history):
        table.add_row("...", "", "", "")
    for epoch in shown:
        score = "" if epoch.score is None else f"{epoch.score:.3f}"
        table.add_row(str(epoch.number), f"{epoch.loss:.3f}", f"{epoch.rate:.1e}", score)
    return table


def _effort(result: TrainResult) -> Iterator[tuple[str, str]]:
    yield "learned from", plural(result.n_training, "picture")
    yield "time", format_duration(result.seconds)
    yield "model", str(result.bundle)
    yield "run", str(result.bundle.parent)


def _next_steps(result: TrainResult, pictures: str) -> Iterator[str]:
    bundle = shlex.quote(str(result.bundle))
    yield f"automl-tl predict {bundle} PICTURES says what is in new pictures."
    yield f"automl-tl evaluate {bundle} LABELLED tests the model on further labelled pictures."
    yield f"automl-tl search {pictures} --budget 10m looks for a better one."
