"""Pictures of a data set that say something about a model or a domain, as sections of a page."""

from __future__ import annotations

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing
from automl_tl.domain.extremes import Extremes
from automl_tl.report.facts.labels import LOOK
from automl_tl.report.parts import Gallery, Section
from automl_tl.report.thumbnails import as_seen, named
from automl_tl.searcher.record import Doubts
from automl_tl.wording import plural


def doubted(doubts: Doubts, dataset: ImageDataset, how: Preprocessing, *, finished: bool) -> Section | None:
    """Return the pictures whose labels are likely wrong; None where there are none."""
    captions = [(one.path, f"{one.given}: rather {one.predicted} ({one.confidence:.0%})") for one in doubts.answers]
    pictures = tuple(as_seen(named(dataset, captions), how))
    if not pictures:
        return None
    lead = (
        f"{plural(doubts.n, 'label')} of {doubts.n_judged:,} training pictures, by {doubts.judge}: each is judged by "
        f"those that had not learned from it. {LOOK}"
    )
    more = doubts.n - len(pictures)
    run, judge = (" --run RUN", " and by the model of this run") if finished else ("", "")
    caption = (
        f"{f'{more:,} more. ' if more else ''}automl-tl labels DATA{run} lists all, judged by a classifier on every "
        f"backbone{judge}."
    )
    return Section("Labels that are likely wrong", (Gallery(pictures, caption),), lead)


def nearest_and_farthest(ends: Extremes, backbone: str, dataset: ImageDataset, how: Preprocessing) -> Section | None:
    """Return the pictures that are most and least like the pretraining domain; None where none can be read."""
    labels = dict(zip(dataset.frame["path"], dataset.frame["label"], strict=True))
    near, far = (
        Gallery(tuple(as_seen(named(dataset, [(path, labels.get(path, "")) for path in paths]), how)), caption)
        for paths, caption in (
            (ends.nearest, "The most like them, the nearest first."),
            (ends.farthest, "The least like them, the farthest first."),
        )
    )
    if not near.pictures:
        return None
    lead = f"Your pictures beside those that {backbone} was pretrained on, by the output of its last stage."
    return Section("Nearest and farthest", (near, far), lead)
