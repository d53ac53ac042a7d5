"""The page of `recommend`: the decision, what it rests on, and where it comes from."""

from __future__ import annotations

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing
from automl_tl.lab.findings import screened
from automl_tl.recommender.reasons import sure
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.report.assessment import domain_section, evidence_section, strategies, where_it_lies
from automl_tl.report.data import data_sections, gallery, notes
from automl_tl.report.facts.recommendation import about_pictures, what_to_do
from automl_tl.report.mistakes import confusion_parts
from automl_tl.report.parts import Facts, Page, Section, Sentences
from automl_tl.report.pictures import nearest_and_farthest
from automl_tl.report.provenance import Provenance


def recommendation_page(
    result: Recommendation,
    dataset: ImageDataset,
    how: Preprocessing,
    next_steps: tuple[str, ...],
    provenance: Provenance,
) -> Page:
    """Return the page.

    Args:
        result: the recommendation.
        dataset: scanned, that it is for.
        how: pictures are prepared for the chosen backbone.
        next_steps: sentences, what to do now.
        provenance: of the result.
    """
    sections = (
        Section("What to do", (Facts(tuple(what_to_do(result))),)),
        Section("Why", (Sentences(result.reasons),)),
        strategies(result.front, result.strategy),
        Section("Your pictures", (Facts(tuple(about_pictures(result))),)),
        gallery(dataset, how),
        domain_section(result.domain, result.domains),
        _extremes(result, dataset, how),
        evidence_section(screened(result.probe), result.frozen.backbone, result.curve, result.n_training),
        _mistakes(result),
        *data_sections(dataset, result.report),
        notes((*result.report.warnings, *dataset.notes, *result.notes)),
        Section("Next", (Sentences(next_steps),)),
        provenance.section(),
    )
    picture = where_it_lies(result.size, result.domain, result.matrix)
    return Page(f"Recommendation for {result.path}", decision(result), picture, sections)


def decision(result: Recommendation) -> str:
    """Return the recommendation in one sentence."""
    row = next(row for row in result.front if row.strategy == result.strategy)
    low, high = row.interval
    return (
        f"Use {result.frozen.backbone} with {result.strategy}: "
        f"expect {sure(row.accuracy)} accuracy on new pictures (90% interval {low:.0%} to {high:.0%})."
    )


def _extremes(result: Recommendation, dataset: ImageDataset, how: Preprocessing) -> Section | None:
    if result.extremes is None:
        return None
    return nearest_and_farthest(result.extremes, result.domain.backbone, dataset, how)


def _mistakes(result: Recommendation) -> Section:
    found = result.confusion
    whose = "The frozen model, on pictures that it did not learn from."
    return Section("What is taken for what", confusion_parts(found.counts, found.classes, whose))
