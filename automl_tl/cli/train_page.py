"""What one configuration came to, as a page for people: the model, its training, how good it is, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from automl_tl.cli.sections import facts, first_items, items, section
from automl_tl.report.facts.train import about_trained_model, effort_of_training, quality_of_training
from automl_tl.searcher.train_result import TrainResult
from automl_tl.wording import clean

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
        section(f"The model for {clean(result.path)}", facts(about_trained_model(result.summary))),
        section("How good it is", facts(quality_of_training(result.summary))),
        section("Epochs, without the validation part", _epochs(result, None if verbose else MOST_EPOCHS)),
        section("The training", facts(effort_of_training(result.summary))),
        section("Worth knowing", first_items(notes, None if verbose else MOST_NOTES)),
        section("Next", items(_next_steps(result, pictures))),
    )
    return [one for one in sections if one is not None]


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


def _next_steps(result: TrainResult, pictures: str) -> Iterator[str]:
    bundle = shlex.quote(str(result.bundle))
    yield f"automl-tl predict {bundle} PICTURES says what is in new pictures."
    yield f"automl-tl evaluate {bundle} LABELLED tests the model on further labelled pictures."
    yield f"automl-tl search {pictures} --budget 10m looks for a better one."
