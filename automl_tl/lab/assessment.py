"""What is found out about a data set before anything is trained: where it lies, what frozen features reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from automl_tl.backbones.prior import static_prior
from automl_tl.data.dataset import ImageDataset, open_dataset
from automl_tl.data.quality import QualityReport, scan
from automl_tl.data.split import assign_splits
from automl_tl.domain.similarity import Domain
from automl_tl.features.extract import Features
from automl_tl.lab.advice import Advice, Unfreezing, advise, stages_to_unfreeze
from automl_tl.lab.decision import Choice, GainPrior, choose, gain_prior
from automl_tl.lab.domains import measure_domains
from automl_tl.lab.evidence import Candidate, Evidence, gather_evidence
from automl_tl.lab.expectations import Outlook, look_ahead
from automl_tl.lab.extraction import Progress, extract_view
from automl_tl.lab.flips import MAX_PICTURES, FlipHarm, judge_flips
from automl_tl.lab.matrix import Matrix, Size, judge_size, place
from automl_tl.lab.networks import Bench
from automl_tl.lab.sample import Sample, draw_sample, sample_size
from automl_tl.lab.timing import decode_seconds, forward_seconds, training_speed
from automl_tl.strategies import FROZEN, STRATEGIES, Strategy

Reporter = Callable[[str], AbstractContextManager[Progress]]


@contextmanager
def silent(stage: str) -> Iterator[Progress]:
    """Report nothing."""
    yield lambda done, total: None


class Clock:
    """Seconds of named parts, and of the whole."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time spent inside to `part`."""
        start = time.perf_counter()
        yield
        self._parts[part] = self._parts.get(part, 0.0) + time.perf_counter() - start

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part, and "total" since the clock was made."""
        return {**self._parts, "total": time.perf_counter() - self.started}


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns."""

    path: str = "path"
    label: str = "label"
    split: str = "split"
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """A data set as every command begins with it."""

    dataset: ImageDataset
    """Scanned and split."""
    report: QualityReport
    split_given: bool
    """Whether the split is the user's; else a test part, if there is one, was held aside here."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Everything that is known of a data set before anything is trained."""

    sample: Sample
    features: Mapping[str, Features]
    """By backbone, of the sample's pictures."""
    domains: Mapping[str, Domain]
    evidence: Evidence
    size: Size
    matrix: Matrix
    outlook: Outlook
    unfreezing: Unfreezing
    choice: Choice
    flips: tuple[FlipHarm, ...]
    advice: Advice
    tried: str = ""
    """What a short fine-tuning came to, in a sentence, where one was run."""

    @property
    def domain(self) -> Domain:
        """Of the chosen backbone."""
        return self.domains[self.evidence.backbone]

    @property
    def priors(self) -> dict[Strategy, GainPrior]:
        """What training is expected to gain, by strategy, before anything is trained."""
        trained = [strategy for strategy in STRATEGIES if strategy not in FROZEN]
        return {strategy: gain_prior(strategy, self.domain.different, self.size.large) for strategy in trained}

    @property
    def frozen(self) -> Candidate:
        """The frozen model that the chosen strategy starts from, or is."""
        return self.outlook.start(self.choice.strategy)


def read_pictures(path: str | Path, columns: Columns, bench: Bench, seed: int, progress: Reporter) -> Pictures:
    """List, scan and split a data set; raises DataError where nothing can be made of it."""
    with progress("Reading pictures") as update:
        listed = open_dataset(
            path,
            path_column=columns.path,
            label_column=columns.label,
            split_column=columns.split,
            group_column=columns.group,
        )
        scanned, report = scan(listed, cache_dir=bench.cache, progress=update)
        return Pictures(assign_splits(scanned, seed), report, scanned.has_given_splits)


def plan_sample(cost: float, everything: Sample, dataset: ImageDataset, seed: int, seconds: float) -> Sample:
    """Return as many pictures as `seconds` of feature extraction allow, at `cost` seconds per picture."""
    size = sample_size(everything.n, len(everything.classes), cost, seconds)
    return everything if size >= everything.n else draw_sample(dataset, size, seed)


def picture_seconds(bench: Bench, name: str, sample: Sample, fit: str) -> float:
    """Return the seconds that one picture's features take, decoding included."""
    how = bench.preprocessing(name, fit)
    decoding = decode_seconds(sample.pictures, how, bench.engine, bench.cache / "timing")
    return decoding + forward_seconds(bench.network(name), bench.engine, bench.cache / "timing")


def survey(
    bench: Bench,
    sample: Sample,
    features: Mapping[str, Features],
    fit: str,
    *,
    metric: str,
    seed: int,
    budget: float | None,
    clock: Clock,
    progress: Reporter,
) -> Survey:
    """Measure domain and evidence, look ahead at the four strategies, and choose one.

    Args:
        bench: builds the backbones.
        sample: the pictures that everything rests on.
        features: by backbone, of those pictures.
        fit: how pictures become square.
        metric: what is to be good.
        seed: of samples within the sample.
        budget: training time that will be spent afterwards, seconds, or None.
        clock: gets the seconds of every part.
        progress: shows what is going on.
    """
    with clock("domain"), progress("Measuring the domain distance") as update:
        domains = measure_domains(bench, features, sample, fit, seed, update)
    with clock("evidence"), progress("Screening feature sources") as update:
        evidence = gather_evidence(features, sample, metric, seed, _prior(list(features)), update)
    name = evidence.backbone
    domain, size = domains[name], _size(bench, name, sample)
    matrix = place(size.large, domain.different)
    with clock("timing"), progress("Timing a training step"):
        late = evidence.late(metric)
        unfreezing = stages_to_unfreeze(domain, late.n_stages)
        outlook = look_ahead(
            evidence,
            features[name],
            sample,
            metric,
            size,
            different=domain.different,
            speed=training_speed(
                bench.network(name), bench.engine.for_training, late.n_stages, unfreezing.count, bench.cache / "timing"
            ),
            picture_seconds=picture_seconds(bench, name, sample, fit),
        )
    choice = choose(outlook.front, matrix, budget)
    with clock("flips"):
        screened = evidence.screened(outlook.start(choice.strategy))
        flips = _flips(bench, screened, features[name], sample, fit, seed, progress)
    advice = advise(choice.strategy, unfreezing, flips)
    return Survey(
        sample, features, domains, evidence, size, matrix, outlook, unfreezing, choice, flips, advice
    )  # fmt: skip


def rechosen(found: Survey, budget: float | None) -> Survey:
    """Return a survey whose front has changed, with the choice and the advice that follow from it."""
    choice = choose(found.outlook.front, found.matrix, budget)
    return replace(
        found, choice=choice, advice=advise(choice.strategy, found.unfreezing, found.flips)
    )  # fmt: skip


def _size(bench: Bench, name: str, sample: Sample) -> Size:
    parameters = {id(p): p.numel() for stage in bench.network(name).stages for p in stage.parameters()}
    return judge_size(sample.n_training, sample.per_class, sum(parameters.values()))


def _prior(names: Sequence[str]) -> pd.Series:
    """Return the published ImageNet accuracy, 0 to 1, of those backbones that have one."""
    published = static_prior()["top1"] / 100
    return published[published.index.isin(names)]


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
            values = extract_view(bench, screened.backbone, pictures, fit, update, view)
            flipped[view] = values.matrix(source.cuts, source.pooling)
    return judge_flips(screened, features.matrix(source.cuts, source.pooling), sample, rows, flipped)
