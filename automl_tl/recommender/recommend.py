"""From a folder of labelled pictures to a reasoned transfer strategy, in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd

from automl_tl.backbones.prior import static_prior
from automl_tl.cache_dir import cache_dir as resolve_cache_dir
from automl_tl.data.dataset import ImageDataset, open_dataset
from automl_tl.data.quality import QualityReport, scan
from automl_tl.data.split import assign_splits
from automl_tl.domain.similarity import Domain
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import Features, Picture, extract
from automl_tl.recommender.advice import Unfreezing, advise, stages_to_unfreeze
from automl_tl.recommender.bench import Bench, Overrides, usable_backbones
from automl_tl.recommender.confusion import confusion
from automl_tl.recommender.domains import measure_domains
from automl_tl.recommender.evidence import Candidate, Evidence, gather_evidence
from automl_tl.recommender.flips import MAX_PICTURES, FlipHarm, judge_flips
from automl_tl.recommender.front import choose
from automl_tl.recommender.outlook import Outlook, look_ahead
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.recommender.sample import Sample, draw_sample, lonely_note, sample_size
from automl_tl.recommender.story import tell
from automl_tl.recommender.strategy import Size, judge_size, place
from automl_tl.recommender.timing import decode_seconds, forward_seconds, training_speed
from automl_tl.training.scores import get_metric

EXTRACTION_SECONDS = 75.0
"""What feature extraction may take by default; the rest of two minutes is for everything else."""

Progress = Callable[[int, int], None]
Reporter = Callable[[str], AbstractContextManager[Progress]]


@contextmanager
def silent(stage: str) -> Iterator[Progress]:
    """Report nothing."""
    yield lambda done, total: None


def recommend(
    path: str | Path,
    *,
    backbones: Sequence[str] = (),
    budget: float | None = None,
    metric: str = "accuracy",
    device: str = "auto",
    max_images: int | None = None,
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
) -> Recommendation:
    """Look at a data set and recommend a transfer strategy, a backbone and a cut.

    Args:
        path: a folder of class folders, or a CSV or Parquet table.
        backbones: names to consider; default: all whose weights are on this machine.
        budget: training time that will be spent afterwards, seconds; default: not considered.
        metric: "accuracy", "balanced_accuracy", "macro_f1" or "log_loss".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        max_images: look at no more training pictures than this; default: what takes about two minutes.
        seed: of the split, the folds and the samples.
        cache_dir: where features are kept between runs.
        path_column, label_column, split_column, group_column: columns of a table.
        weights: local weights files by backbone name.
        mean, std, input_size: override what a backbone says of its input.
        progress: given a stage's name, returns a context that yields a function of (done, total).

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    get_metric(metric)
    clock = _Clock()
    bench = Bench(choose_engine(device), resolve_cache_dir(cache_dir), Overrides(weights or {}, mean, std, input_size))
    with clock("data"), progress("Reading pictures") as update:
        listed = open_dataset(
            path,
            path_column=path_column,
            label_column=label_column,
            split_column=split_column,
            group_column=group_column,
        )
        scanned, report = scan(listed, cache_dir=bench.cache, progress=update)
        dataset = assign_splits(scanned, seed)
    with clock("backbones"), progress("Loading backbones"):
        names, notes = usable_backbones(bench, backbones)
    with clock("plan"), progress("Timing a forward pass"):
        sample = _plan_sample(bench, names, dataset, report, max_images, seed)
    with clock("features"):
        features = _all_features(bench, names, sample, report.fit, progress)
    with clock("domain"), progress("Measuring the domain distance") as update:
        domains = measure_domains(bench, features, sample, report.fit, seed, update)
    with clock("evidence"), progress("Screening feature sources") as update:
        evidence = gather_evidence(features, sample, metric, seed, _prior(names), update)
    domain, size = domains[evidence.backbone], _size(bench, evidence.backbone, sample)
    matrix = place(size.large, domain.different)
    with clock("timing"), progress("Timing a training step"):
        own = features[evidence.backbone]
        late = evidence.late(metric)
        unfreezing = stages_to_unfreeze(domain, max(late.source.cuts), late.n_stages)
        outlook = _outlook(bench, evidence, own, sample, report.fit, metric, size, domain, unfreezing)
    choice = choose(outlook.front, matrix, budget)
    frozen = outlook.start(choice.strategy)
    with clock("flips"):
        flips = _flips(bench, evidence.screened(frozen), own, sample, report.fit, seed, progress)
    advice = advise(choice.strategy, domain, unfreezing, flips)
    mistakes = confusion(sample.y, frozen.path.predictions[frozen.path.best], sample.classes)
    return Recommendation(
        path=str(path),
        report=report,
        n_classes=len(sample.classes),
        n_training=sample.n_training,
        n_sampled=sample.n,
        size=size,
        domain=domain,
        domains=tuple(domains.values()),
        matrix=matrix,
        strategy=choice.strategy,
        frozen=frozen,
        advice=advice,
        estimate=outlook.estimates[frozen.strategy],
        front=outlook.front,
        probe=evidence.probe,
        curve=outlook.curve,
        confusion=mistakes,
        flips=flips,
        metric=metric,
        budget=budget,
        reasons=tell(sample, domain, size, matrix, choice, evidence, frozen, outlook, advice, mistakes),
        seconds=clock.seconds,
        notes=(*dataset.notes, *notes, *lonely_note(sample)),
    )


class _Clock:
    """Seconds of named parts, and of the whole."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._parts[part] = time.perf_counter() - start

    @property
    def seconds(self) -> dict[str, float]:
        return {**self._parts, "total": time.perf_counter() - self.started}


def _plan_sample(
    bench: Bench,
    names: Sequence[str],
    dataset: ImageDataset,
    report: QualityReport,
    max_images: int | None,
    seed: int,
) -> Sample:
    everything = draw_sample(dataset, len(dataset.frame), seed)
    size = max_images
    if size is None:
        cost = sum(_picture_seconds(bench, name, everything, report.fit) for name in names)
        size = sample_size(everything.n, len(everything.classes), cost, EXTRACTION_SECONDS)
    return everything if size >= everything.n else draw_sample(dataset, size, seed)


def _picture_seconds(bench: Bench, name: str, sample: Sample, fit: str) -> float:
    """Return the seconds that one picture's features take, decoding included."""
    how = bench.preprocessing(name, fit)
    decoding = decode_seconds(sample.pictures, how, bench.engine, bench.cache / "timing")
    return decoding + forward_seconds(bench.network(name), bench.engine, bench.cache / "timing")


def _features(
    bench: Bench, name: str, pictures: Sequence[Picture], fit: str, update: Progress, view: str = "plain"
) -> Features:
    how = bench.preprocessing(name, fit)
    return extract(bench.network(name), pictures, how, bench.engine, bench.store, view=view, progress=update)


def _all_features(
    bench: Bench, names: Sequence[str], sample: Sample, fit: str, progress: Reporter
) -> dict[str, Features]:
    features = {}
    for name in names:
        with progress(f"Features of {name}") as update:
            features[name] = _features(bench, name, sample.pictures, fit, update)
    return features


def _size(bench: Bench, name: str, sample: Sample) -> Size:
    parameters = {id(p): p.numel() for stage in bench.network(name).stages for p in stage.parameters()}
    return judge_size(sample.n_training, sample.per_class, sum(parameters.values()))


def _prior(names: Sequence[str]) -> pd.Series:
    """Return the published ImageNet accuracy, 0 to 1, of those backbones that have one."""
    published = static_prior()["top1"] / 100
    return published[published.index.isin(names)]


def _outlook(
    bench: Bench,
    evidence: Evidence,
    features: Features,
    sample: Sample,
    fit: str,
    metric: str,
    size: Size,
    domain: Domain,
    unfreezing: Unfreezing,
) -> Outlook:
    name = evidence.backbone
    engine, folder = bench.engine.for_training, bench.cache / "timing"
    return look_ahead(
        evidence,
        features,
        sample,
        metric,
        size,
        different=0.5 if domain.different is None else domain.different,
        speed=training_speed(bench.network(name), engine, unfreezing.cut, unfreezing.count, folder),
        picture_seconds=_picture_seconds(bench, name, sample, fit),
    )


def _flips(
    bench: Bench,
    screened: Candidate,
    features: Features,
    sample: Sample,
    fit: str,
    seed: int,
    progress: Reporter,
) -> tuple[FlipHarm, ...]:
    rows = sample.subset(MAX_PICTURES, seed)[:MAX_PICTURES]
    source, pictures = screened.source, [sample.pictures[row] for row in rows]
    flipped = {}
    for view in ("hflip", "vflip"):
        with progress(f"Features of flipped pictures ({view})") as update:
            values = _features(bench, screened.backbone, pictures, fit, update, view)
            flipped[view] = values.matrix(source.cuts, source.pooling)
    return judge_flips(screened, features.matrix(source.cuts, source.pooling), sample, rows, flipped)
