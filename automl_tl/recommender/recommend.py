"""From a folder of labelled pictures to a reasoned transfer strategy, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from automl_tl.cache_dir import cache_dir as resolve_cache_dir
from automl_tl.data.quality import QualityReport
from automl_tl.features.engine import choose_engine
from automl_tl.lab.assessment import (
    Clock,
    Columns,
    Reporter,
    Survey,
    picture_seconds,
    plan_sample,
    read_pictures,
    silent,
    survey,
)
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.networks import Bench, Notice, Overrides, unheard, usable_backbones, without_broken
from automl_tl.lab.sample import draw_sample, lonely_note
from automl_tl.learning.scores import get_metric
from automl_tl.recommender.confusion import confusion
from automl_tl.recommender.reasons import tell
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.recommender.short_training import with_short_training

TOTAL_SECONDS = 120.0
"""What a recommendation should take at most."""
EXTRACTION_SECONDS = 75.0
"""What feature extraction may take by default; the rest of TOTAL_SECONDS is for everything else."""


def recommend(
    path: str | Path,
    *,
    backbones: Sequence[str] = (),
    budget: float | None = None,
    metric: str = "accuracy",
    device: str = "auto",
    max_images: int | None = None,
    try_training: bool = False,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str | None = None,
    weights: Mapping[str, Path] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    input_size: int | None = None,
    progress: Reporter = silent,
    notice: Notice = unheard,
) -> Recommendation:
    """Look at a data set and recommend a transfer strategy, a backbone and a cut.

    Args:
        path: a folder of class folders, or a CSV or Parquet table.
        backbones: names to consider; default: all whose weights are on this machine.
        budget: training time that will be spent afterwards, seconds; default: not considered.
        metric: "accuracy", "balanced_accuracy", "macro_f1" or "log_loss".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        max_images: look at no more training pictures than this; default: what takes about two minutes.
        try_training: spend what is left of two minutes, or half of `budget` where that is longer, on one short
            fine-tuning of the last stages: then what it gains is measured here, not taken from other data sets.
        seed: of the split, the folds and the samples.
        cache_dir: where features are kept between runs.
        path_column, label_column, split_column, group_column: columns of a table.
        weights: local weights files by backbone name.
        mean, std, input_size: override what a backbone says of its input.
        progress: given a stage's name, returns a context that yields a function of (done, total).
        notice: told, before anything is fetched, what is not on this machine.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    get_metric(metric)
    clock = Clock()
    bench = Bench(choose_engine(device), resolve_cache_dir(cache_dir), Overrides(weights or {}, mean, std, input_size))
    named = frozenset(backbones)
    columns = Columns(path_column, label_column, split_column, group_column)
    with clock("data"):
        pictures = read_pictures(path, columns, bench, seed, progress)
    dataset, report = pictures.dataset, pictures.report
    with clock("backbones"), progress("Loading backbones"):
        names, notes = usable_backbones(bench, backbones, notice=notice)
    with clock("plan"), progress("Timing a forward pass"):
        sample = draw_sample(dataset, len(dataset.frame) if max_images is None else max_images, seed)
        costs, slow = without_broken(
            bench, names, partial(picture_seconds, bench, sample=sample, fit=report.fit), named=named
        )
        if max_images is None:
            sample = plan_sample(sum(costs.values()), sample, dataset, seed, EXTRACTION_SECONDS)
    with clock("features"):
        features, lost = extract_all(bench, tuple(costs), sample.pictures, report.fit, progress, named=named)
    found = survey(
        bench, sample, features, report.fit, metric=metric, seed=seed, budget=budget, clock=clock, progress=progress
    )
    untried: tuple[str, ...] = ()
    if try_training:
        seconds = max(TOTAL_SECONDS - clock.seconds["total"], (budget or 0.0) / 2)
        with clock("training"), progress("Fine-tuning the last stages for a moment") as update:
            found, untried = with_short_training(
                bench, found, report.fit, metric=metric, seed=seed, seconds=seconds, budget=budget, progress=update
            )
    notes = (*dataset.notes, *notes, *slow, *lost, *lonely_note(sample), *untried)
    return summarise(str(path), report, found, metric, budget, clock, notes)


def summarise(
    path: str,
    report: QualityReport,
    found: Survey,
    metric: str,
    budget: float | None,
    clock: Clock,
    notes: tuple[str, ...],
) -> Recommendation:
    """Return the recommendation that a survey amounts to, with its reasons."""
    sample, frozen, outlook = found.sample, found.frozen, found.outlook
    mistakes = confusion(sample.y, frozen.path.predictions[frozen.path.best], sample.classes)
    reasons = tell(found, mistakes)
    return Recommendation(
        path=path,
        report=report,
        n_classes=len(sample.classes),
        n_training=sample.n_training,
        n_sampled=sample.n,
        size=found.size,
        domain=found.domain,
        domains=tuple(found.domains.values()),
        matrix=found.matrix,
        strategy=found.choice.strategy,
        frozen=frozen,
        advice=found.advice,
        estimate=outlook.estimates[frozen.strategy],
        front=outlook.front,
        probe=found.evidence.probe,
        curve=outlook.curve,
        confusion=mistakes,
        flips=found.flips,
        metric=metric,
        budget=budget,
        reasons=reasons,
        seconds=clock.seconds,
        notes=notes,
    )
