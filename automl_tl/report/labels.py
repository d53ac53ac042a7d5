"""The page of `labels`: the pictures whose labels are likely wrong."""

from __future__ import annotations

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing
from automl_tl.report.data import duplicates, notes
from automl_tl.report.evaluation import evaluation_sections
from automl_tl.report.facts.labels import LOOK, about_labels
from automl_tl.report.mistakes import answers_grid
from automl_tl.report.parts import Facts, Gallery, Page, Section
from automl_tl.report.provenance import Provenance
from automl_tl.report.thumbnails import as_seen, named
from automl_tl.reviewer.label_report import LabelReport
from automl_tl.wording import plural

MOST_THUMBNAILS, MOST_ROWS = 60, 2000


def labels_page(result: LabelReport, dataset: ImageDataset, how: Preprocessing, provenance: Provenance) -> Page:
    """Return the page.

    Args:
        result: the report.
        dataset: that it is about.
        how: pictures are prepared for the first of the voters.
        provenance: of the result.
    """
    n = len(result.suspects)
    verb = "is" if n == 1 else "are"
    decision = f"{plural(n, 'label') if n else 'None'} of {result.evaluation.n:,} {verb} likely wrong."
    of_whom = f"By the same classifiers, on {plural(result.evaluation.n, 'picture')} that they had not learned from."
    sections = (
        Section("The labels", (Facts(tuple(about_labels(result))),)),
        *_suspects(result, dataset, how),
        duplicates(dataset, result.quality),
        *evaluation_sections(result.evaluation, of_whom),
        notes((*result.quality.warnings, *result.notes)),
        provenance.section(),
    )
    return Page(f"Labels of {dataset.root}", decision, None, sections)


def _suspects(result: LabelReport, dataset: ImageDataset, how: Preprocessing) -> tuple[Section, Section] | tuple[()]:
    """Return the pictures and the table of the labels that are likely wrong, the least believed first."""
    if not result.suspects:
        return ()
    first = result.suspects[:MOST_THUMBNAILS]
    captioned = named(
        dataset, [(one.path, f"{one.given}: rather {one.predicted} ({one.confidence:.0%})") for one in first]
    )
    more = min(len(result.suspects), MOST_ROWS) - len(captioned)
    caption = f"The table below has {more:,} more." if more else ""
    return (
        Section("Likely wrong", (Gallery(tuple(as_seen(captioned, how)), caption),), LOOK),
        Section("As a table", (answers_grid(result.suspects, dataset, MOST_ROWS),)),
    )
