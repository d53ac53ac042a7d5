"""The laboratory: one object that holds what recommending and searching work with."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from os import PathLike

from automl_tl.cache_dir import cache_dir
from automl_tl.data.dataset import ImageDataset, drawn, open_dataset
from automl_tl.data.decode import Preprocessing
from automl_tl.data.forms.memory import Data
from automl_tl.data.quality import QualityReport, scan
from automl_tl.data.split import assign_splits
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.features.extract import Features, Pass, Report, compute_shard, extract
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import PixelStore
from automl_tl.lab.calibration import Calibration, calibration
from automl_tl.lab.clock import Clock
from automl_tl.lab.considered import usable_backbones
from automl_tl.lab.networks import Networks, Overrides
from automl_tl.lab.own_runs import own_runs
from automl_tl.lab.timing import decode_seconds, forward_seconds
from automl_tl.learning.scores import Metric, get_metric
from automl_tl.logs import Logging
from automl_tl.monitor import Monitor, Progress, unheeded
from automl_tl.options import LabOptions, TableOptions, of_group
from automl_tl.spare_time import UNLIMITED, SpareTime
from automl_tl.work import Executor, ThisProcess


@dataclass(frozen=True, eq=False)
class Lab:
    """A data set, the backbones that are considered for it, what is to be good, and who watches."""

    path: str
    """The data set as the user named it; in memory, what it is called."""
    dataset: ImageDataset
    """Scanned and split."""
    report: QualityReport
    """Of the scan; how pictures become square may have been chosen since."""
    as_given: ImageDataset
    """Scanned, with the user's split; where none is given, a test part, if there is one, was held aside here."""
    networks: Networks
    backbones: tuple[str, ...]
    """Names of those that are considered."""
    metric: Metric
    seed: int
    """Of the split, the folds, the samples, the sampler and training."""
    monitor: Monitor
    notes: tuple[str, ...]
    """What the user should know of the data set and of backbones that were left out."""
    clock: Clock
    executor: Executor = field(default_factory=ThisProcess)
    """Where what is expensive runs."""
    calibration: Calibration = field(default_factory=calibration)
    """What the panel of other data sets lets expect."""

    @property
    def engine(self) -> Engine:
        """Where frozen networks run, and in which number format."""
        return self.networks.engine

    @property
    def held_aside(self) -> bool:
        """Whether a test part was held aside here, not given."""
        return not self.as_given.has_given_splits and bool((self.dataset.frame["split"] == "test").any())

    def with_fit(self, fit: str, reason: str) -> Lab:
        """Return the same with pictures made square in another way, "squash", "pad" or "crop", and why."""
        return replace(self, report=replace(self.report, fit=fit, fit_reason=reason))

    def features(
        self, name: str, pictures: Sequence[Picture], view: str = "plain", progress: Progress = unheeded
    ) -> Features:
        """Return the features of pictures, seen as `view`, from the store where they are known.

        Raises:
            BackboneError: the backbone fails on these pictures.
            DataError: a picture cannot be read any more.
        """
        way = self.networks.way(name, self.report.fit, view)
        networks = self.networks.computed_by(way.engine)  # whoever computes does not choose again

        def submit(shard: Sequence[Picture], report: Report) -> Future[None]:
            return self.executor.submit(compute_shard_by_name, networks, name, shard, way.how, view=view, report=report)

        workers = self.executor.n_workers
        try:
            return extract(way, pictures, networks.store, progress=progress, submit=submit, n_workers=workers)
        finally:
            self.executor.cancel()  # where a shard failed, or at an interruption, others may still be computed

    def n_missing(self, name: str, pictures: Sequence[Picture]) -> int:
        """Return of how many pictures the features are not known."""
        table = self.networks.store.table(self.networks.key(name, self.report.fit))
        return sum(picture.sha256 not in table for picture in pictures)

    def compute_again(self, name: str, pictures: Sequence[Picture]) -> None:
        """Decode pictures and compute their features, here, whatever is kept of them: for whoever times it.

        Raises:
            BackboneError: the backbone fails on these pictures.
            DataError: a picture cannot be read any more.
        """
        way = replace(self.networks.way(name, self.report.fit), pixels=PixelStore(threads=self.engine.workers))
        compute_shard(way, pictures, report=lambda keys, statistics: None)

    def picture_seconds(self, name: str, pictures: Sequence[Picture]) -> float:
        """Return the seconds that one picture's features take, decoding included."""
        way, timing = self.networks.way(name, self.report.fit), self.networks.timing
        decoding = decode_seconds(pictures, way.how, self.networks.pixels, timing)
        return decoding + forward_seconds(way.network, way.engine, timing)


def open_lab(data: Data, options: LabOptions, *, most: int | None = None, spare: SpareTime = UNLIMITED) -> Lab:
    """List, scan and split a data set, and load the backbones.

    Args:
        data: the path of labelled pictures, or what holds them in memory.
        options: what was asked for.
        most: pictures that are looked at; of more a stratified sample is drawn before any is opened. Default: all.
        spare: time for loading more than one backbone.

    Raises:
        AutomlTlError: the data set, a backbone or an option cannot be used; the message says why.
    """
    metric, experience = get_metric(options.metric), _experience(options.without_set)
    clock, monitor = Clock(), options.monitor or Logging()
    overrides = Overrides(options.weights or {}, options.mean, options.std, options.input_size)
    threads = options.workers if options.ray is None else None  # what Ray shares out is not threads
    engine = choose_engine(options.device, options.batch_size, threads)
    networks = Networks(engine, cache_dir(options.cache_dir), overrides, frozenset(options.backbones))
    with clock("data"), monitor.activity("Reading pictures") as update:
        listed = open_dataset(data, **of_group(options, TableOptions))
        if most is not None:
            listed = drawn(listed, most, options.seed)
        scanned, report = scan(listed, cache_dir=networks.cache, progress=update)
        networks = replace(networks, value_range=report.value_range, n_pictures=len(scanned.frame))
        dataset = assign_splits(scanned, options.seed, drop_leaks=options.drop_leaks)
    executor = _executor(options, networks.engine, monitor)  # before what takes time: its workers load meanwhile
    with clock("backbones"), monitor.activity("Loading backbones"):
        names, notes = usable_backbones(networks, options.backbones, monitor.say, spare)
    named = data if isinstance(data, str | PathLike) else dataset.root
    return Lab(
        str(named), dataset, report, scanned, networks, names, metric, options.seed, monitor,
        (*dataset.notes, *notes), clock, executor, experience,
    )  # fmt: skip


def _experience(without: str) -> Calibration:
    """Return what is known of other data sets: the panel and the user's own runs, or the panel without a set."""
    known = calibration(without)
    return known if without else known.with_own(own_runs())


def _executor(options: LabOptions, engine: Engine, monitor: Monitor) -> Executor:
    """Return where what is expensive runs."""
    if options.ray is None:
        return options.executor
    from automl_tl.cluster import RayExecutor

    with monitor.activity("Joining Ray"):
        executor = RayExecutor(options.ray, options.workers, engine.device)
    monitor.say(str(executor))
    return executor


def compute_shard_by_name(
    networks: Networks, name: str, pictures: Sequence[Picture], how: Preprocessing, *, view: str, report: Report
) -> None:
    """Compute the features of a shard of pictures: work for an executor; see `compute_shard`."""
    way = Pass(networks.network(name), how, networks.engine, view, pixels=networks.pixels)
    compute_shard(way, pictures, report=report)
