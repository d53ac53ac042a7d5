"""A report on labels as a page for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from automl_tl.cli.render import literal
from automl_tl.cli.sections import facts, first_items, item, section
from automl_tl.data.dataset import ImageDataset
from automl_tl.report.facts.labels import LOOK, about_labels
from automl_tl.reviewer.label_report import LabelReport
from automl_tl.wording import clean, label_text

MOST_SUSPECTS = 20
MOST_WARNINGS = 4
LABEL_WIDTH = 24


def labels_page(result: LabelReport, dataset: ImageDataset, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every label that is likely wrong, and every note."""
    notes = [*result.quality.warnings, *result.notes]
    sections = [
        section(f"Labels of {clean(result.path)}", facts(about_labels(result))),
        section("Likely wrong", _suspects(result, dataset, None if verbose else MOST_SUSPECTS)),
        section("Worth knowing", first_items(notes, None if verbose else MOST_WARNINGS)),
    ]
    return [one for one in sections if one is not None]


def _suspects(result: LabelReport, dataset: ImageDataset, most: int | None) -> RenderableType | None:
    """Return a table of the labels that are likely wrong, the least believed first."""
    if not result.suspects:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("picture", overflow="fold")
    for name, share in (("given", "believed"), ("likely", "confidence")):
        table.add_column(name, max_width=LABEL_WIDTH, no_wrap=True, overflow="ellipsis")
        table.add_column(share, justify="right", no_wrap=True)
    for one in result.suspects[:most]:
        given, likely = literal(label_text(one.given)), literal(label_text(one.predicted))
        believed, confidence = f"{one.given_probability:.1%}", f"{one.confidence:.1%}"
        table.add_row(literal(dataset.short(one.path)), given, believed, likely, confidence)
    hidden = len(result.suspects) - len(result.suspects[:most])
    more = [literal(f"... and {hidden:,} more; --verbose shows all, --output FILE.csv writes them")] if hidden else []
    return Group(table, *more, item(LOOK))
