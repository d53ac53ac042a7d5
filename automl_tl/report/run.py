"""The page of a run, finished or not, of a search or of the training of one configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing
from automl_tl.data.quality import QualityReport
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import Recipe
from automl_tl.report import trials
from automl_tl.report.assessment import domain_section, evidence_section, strategies, where_it_lies
from automl_tl.report.augmented import augmentation_section
from automl_tl.report.data import SHOWN_AT, data_sections, gallery, notes
from automl_tl.report.evaluation import evaluation_sections, surest_mistakes
from automl_tl.report.facts.search import about_model, effort, quality
from automl_tl.report.facts.train import about_trained_model, effort_of_training, quality_of_training
from automl_tl.report.parts import Facts, Page, Section, Sentences
from automl_tl.report.pictures import doubted, nearest_and_farthest
from automl_tl.report.provenance import Provenance
from automl_tl.report.thumbnails import one_of_each
from automl_tl.reviewer.run import Run
from automl_tl.searcher.summary import SearchSummary, TrainSummary

Sections = Iterator[Section | None]
VALIDATION = "On the validation pictures."
OUT_OF_FOLD = (
    "On training pictures, each without having learned from it. The model was chosen by them, which flatters it."
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a run was about, where it can still be read."""

    dataset: ImageDataset
    quality: QualityReport


def run_page(run: Run, pictures: Pictures | str) -> Page:
    """Return the page.

    Args:
        run: as its folder has it.
        pictures: that it was about, or a sentence that says why they are not shown.
    """
    found = run.findings
    sections = [
        *_results(run),
        *_answers(run),
        *_shown(run, pictures),
        *_findings(run, pictures),
        *_rest(run, pictures),
    ]
    picture = None if found is None else where_it_lies(found.size, found.domain, found.matrix)
    what = "Training" if run.is_training else "Search"
    return Page(f"{what} on {run.path}", decision(run), picture, tuple(sections))


def decision(run: Run) -> str:
    """Return in one sentence what came of a run."""
    found = run.summary
    if isinstance(found, SearchSummary):
        return _found(found)
    if isinstance(found, TrainSummary):
        numbers, part = (found.validation, "validation") if found.test is None else (found.test, "unseen test")
        accuracy, n = numbers["accuracy"], int(numbers["n"])
        named = found.configuration
        return f"{named.backbone} with {named.strategy}; {accuracy:.1%} of {n:,} {part} pictures are right."
    scored = run.table[run.table[run.metric].notna()]
    if scored.empty:
        return "Not finished, and nothing was scored yet."
    best = scored.iloc[0]
    measured = f"{run.metric.replace('_', ' ')} {best[run.metric]:.3f}"
    return f"Not finished; the best so far is {best['backbone']} with {best['strategy']}, {measured} by its trial."


def _found(found: SearchSummary) -> str:
    together = ", together with another model" if len(found.members) > 1 else ""
    what = f"{found.best.backbone} with {found.best.strategy}{together}"
    accuracy, (low, high) = found.expected
    expected = f"{accuracy:.1%} expected on new pictures (90% interval {low:.1%} to {high:.1%})"
    if found.test is None:
        return f"{what}; {expected}."
    right, n = found.test["accuracy"], int(found.test["n"])
    return f"{what}; {right:.1%} of {n:,} unseen test pictures are right; {expected}."


def _results(run: Run) -> Sections:
    """Yield the model, how good it is, and how it was found or trained."""
    found = run.summary
    if isinstance(found, TrainSummary):
        yield Section("The model", (Facts(tuple(about_trained_model(found))),))
        yield Section("How good it is", (Facts(tuple(quality_of_training(found))),))
        curves = trials.learned({"without the validation part": found.history}, run.metric) if found.history else ()
        yield Section("The training", (*curves, Facts(tuple(effort_of_training(found)))))
        return
    if found is not None:
        yield Section("The model", (Facts(tuple(about_model(found))),))
        yield Section("How good it is", (Facts(tuple(quality(found))),))
    spent = Facts(()) if found is None else Facts(tuple(effort(found, run.table)))
    yield trials.progress(run.table, run.metric, spent)
    yield trials.curves(run.histories, run.table, run.metric)
    yield trials.parameters(run.parameters)
    yield trials.leaderboard(run.table, run.metric)
    if found is not None:
        rows = tuple((name, trials.text(value)) for name, value in found.params.items())
        yield Section("The model's parameters", (Facts(rows),))


def _answers(run: Run) -> Sections:
    """Yield what the model answered on pictures that it had not learned from."""
    if run.test is not None:
        yield from evaluation_sections(run.test, "On the test pictures.")
    elif run.validation is not None:
        yield from evaluation_sections(run.validation, VALIDATION if run.is_training else OUT_OF_FOLD)


def _shown(run: Run, pictures: Pictures | str) -> Sections:
    """Yield what can only be shown where the pictures are there."""
    if isinstance(pictures, str):
        return
    dataset, how = pictures.dataset, _prepared(run, pictures)
    answers = run.validation if run.test is None else run.test
    if answers is not None:
        yield surest_mistakes(answers, dataset, how)
    if run.doubts is not None:
        yield doubted(run.doubts, dataset, how, finished=run.summary is not None)
    yield gallery(dataset, how)
    if (recipe := _recipe(run.summary)) is not None:
        yield augmentation_section(recipe, one_of_each(dataset), how)


def _findings(run: Run, pictures: Pictures | str) -> Sections:
    """Yield what was known before anything was trained."""
    found = run.findings
    if found is None:
        return
    yield strategies(found.front, found.strategy)
    yield domain_section(found.domain, found.domains)
    if not isinstance(pictures, str) and found.extremes is not None:
        how = _prepared(run, pictures)
        yield nearest_and_farthest(found.extremes, found.backbone, pictures.dataset, how)
    yield evidence_section(found.probe, found.backbone, found.curve, found.n_training)


def _rest(run: Run, pictures: Pictures | str) -> Sections:
    """Yield the data, what is worth knowing, what to do next, and where the page comes from."""
    told = () if run.summary is None else run.summary.notes
    if not isinstance(pictures, str):
        yield from data_sections(pictures.dataset, pictures.quality)
        told = (*pictures.quality.warnings, *pictures.dataset.notes, *told)
    yield notes((*_missing(run, pictures), *told))
    yield Section("Next", (Sentences(tuple(_next_steps(run))),))
    if run.origin is not None:
        origin, seconds = run.origin, {} if run.summary is None else {"total": run.summary.seconds}
        yield Provenance(origin.command, origin.device, origin.seed, seconds, origin.made).section()


def _missing(run: Run, pictures: Pictures | str) -> Iterator[str]:
    if isinstance(pictures, str):
        yield f"No pictures are shown, and nothing is said of the data. {pictures}"
    if run.findings is None:
        yield "What was found out before anything was trained is not shown: the run did not keep it."
    if run.summary is not None and run.summary.test is not None and run.test is None:
        yield "The answers to the test pictures are not shown: the run did not keep them."


def _next_steps(run: Run) -> Iterator[str]:
    bundle = shlex.quote(str(run.folder / "bundle"))
    if run.manifest is not None:
        yield f"automl-tl predict {bundle} PICTURES says what is in new pictures."
        yield f"automl-tl evaluate {bundle} LABELLED tests the model on further labelled pictures."
    if run.is_training:
        return
    begun = "The command below" if run.origin and run.origin.command else "automl-tl search, as it was begun"
    yield f"{begun}, with --out {shlex.quote(str(run.folder))} --resume, goes on from here."


def _prepared(run: Run, pictures: Pictures) -> Preprocessing:
    """Return how the model has its pictures prepared, or how one would where there is none yet."""
    if run.manifest is not None:
        return run.manifest.members[0].preprocessing
    return Preprocessing(SHOWN_AT, pictures.quality.fit, value_range=pictures.quality.value_range)


def _recipe(found: SearchSummary | TrainSummary | None) -> Recipe | None:
    """Return how the first trained member of the model was trained; None where none was."""
    members: tuple[Configuration, ...] = ()
    if isinstance(found, SearchSummary):
        members = found.members
    elif found is not None:
        members = (found.configuration,)
    return next((one.tuned for one in members if one.is_trained), None)
