"""What is found out about a data set before anything is trained: where it lies, what frozen features reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from automl_tl.backbones.contract import FineTuning
from automl_tl.domain.extremes import Extremes
from automl_tl.domain.similarity import Domain
from automl_tl.errors import BackboneError, ShortageError
from automl_tl.features.extract import Features
from automl_tl.lab.advice import Advice, Unfreezing, advise, stages_to_unfreeze
from automl_tl.lab.calibration import GainPrior
from automl_tl.lab.decision import Choice, choose
from automl_tl.lab.domains import measure_domains, picture_extremes
from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.expectations import Expectations, expect
from automl_tl.lab.flips import FLIPS, MAX_PICTURES, FlipHarm, judge_flips
from automl_tl.lab.kept_evidence import evidence_of
from automl_tl.lab.lab import Lab
from automl_tl.lab.matrix import Matrix, Size, judge_size, place
from automl_tl.lab.neighbours import Neighbour, nearest
from automl_tl.lab.sample import Sample
from automl_tl.lab.timing import SHARE, TIMING, TrainingSpeed, estimated_speed, training_speed
from automl_tl.logs import LOGGER
from automl_tl.spare_time import UNLIMITED, SpareTime
from automl_tl.strategies import FROZEN, Strategy
from automl_tl.wording import one_line


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is known of a data set before anything is trained."""

    sample: Sample
    features: Mapping[str, Features]
    """By backbone, of the sample's pictures."""
    domains: Mapping[str, Domain]
    evidence: Evidence
    size: Size
    matrix: Matrix
    expectations: Expectations
    unfreezing: Unfreezing
    choice: Choice
    flips: tuple[FlipHarm, ...]
    advice: Advice
    neighbours: tuple[Neighbour, ...]
    """The most similar data sets of the panel, the nearest first."""
    fine_tuning: FineTuning
    """What the plugin of the backbone that is trained says of that."""
    extremes: Extremes | None = None
    """The pictures that are most and least like the chosen backbone's pretraining domain; None where it has no
    reference to compare with."""
    tried: str = ""
    """What a short fine-tuning came to, in a sentence, where one was run."""

    @property
    def domain(self) -> Domain:
        """Of the chosen backbone."""
        return self.domains[self.evidence.backbone]

    @property
    def priors(self) -> dict[Strategy, GainPrior]:
        """What training is expected to gain, by strategy, before anything is trained."""
        return {strategy: gain for strategy, gain in self.expectations.gains.items() if strategy not in FROZEN}

    @property
    def frozen(self) -> Candidate:
        """The frozen model that the chosen strategy starts from, or is."""
        return self.expectations.start(self.choice.strategy)

    def allows(self, flip: str) -> bool:
        """Return whether a flip, "hflip" or "vflip", leaves the label as it is."""
        return any(harm.view == flip and harm.allowed for harm in self.flips)

    def chosen_again(self, budget: float | None) -> Assessment:
        """Return the same with the choice and the advice that follow from its front, which has changed."""
        choice = choose(self.expectations.front, self.matrix, budget, self.expectations.usual)
        advice = advise(choice.strategy, self.unfreezing, self.flips, self.fine_tuning)
        return replace(self, choice=choice, advice=advice)


def assess(
    lab: Lab,
    sample: Sample,
    features: Mapping[str, Features],
    budget: float | None,
    *,
    deadline: float = math.inf,
    spare: SpareTime = UNLIMITED,
    flips: bool = True,
) -> Assessment:
    """Measure domain and evidence, look ahead at the four strategies, and choose one.

    Args:
        lab: builds the backbones; its clock gets the seconds of every part.
        sample: the pictures that everything rests on.
        features: by backbone, of those pictures.
        budget: training time that will be spent afterwards, seconds, or None.
        deadline: `time.monotonic()` at which the evidence is what there is by then.
        spare: time for what can be left out: the distance by depth, timing a training step, trying flips.
        flips: whether to try what mirrored pictures do, which takes a pass for each.
    """
    clock, activity = lab.clock, lab.monitor.activity
    with clock("domain"), activity("Measuring the domain distance") as update:
        domains = measure_domains(lab, features, sample, update, spare)
    with clock("evidence"), activity("Screening feature sources") as update:
        evidence = evidence_of(lab, features, sample, update, deadline=deadline)
    domain, size = domains[evidence.backbone], _size(lab, evidence.backbone, sample)
    matrix = place(size.large, domain.different, lab.calibration.borders.different)
    with clock("timing"), activity("Timing a step of fine-tuning"):
        unfreezing = stages_to_unfreeze(domain, evidence.late.n_stages)
        speed = tuning_speed(lab, evidence, unfreezing, sample, spare.part(SHARE))
        expectations = expect(lab, evidence, features[evidence.backbone], sample, domain, speed)
    choice = choose(expectations.front, matrix, budget, expectations.usual)
    with clock("flips"):
        screened, own_features = evidence.screened(expectations.start(choice.strategy)), features[evidence.backbone]
        harms = _flips(lab, screened, own_features, sample, spare) if flips else ()
    own = lab.networks.network(evidence.late.backbone).fine_tuning
    advice, near = advise(choice.strategy, unfreezing, harms, own), nearest(expectations.known, lab.calibration)
    return Assessment(
        sample, features, domains, evidence, size, matrix, expectations, unfreezing, choice, harms, advice, near, own,
        picture_extremes(lab, own_features, sample),
    )  # fmt: skip


def tuning_speed(
    lab: Lab, evidence: Evidence, unfreezing: Unfreezing, sample: Sample, spare: SpareTime = UNLIMITED
) -> TrainingSpeed | None:
    """Return what a training step of the chosen backbone costs, or None where it cannot be trained.

    It is estimated where there is no time to measure it, and where memory does not suffice for it here.
    """
    late = evidence.late
    network, count = lab.networks.network(late.backbone), unfreezing.count
    engine, folder = lab.engine.for_training, lab.networks.timing

    def estimated() -> TrainingSpeed:
        return estimated_speed(lab.picture_seconds(late.backbone, sample.pictures), network, late.n_stages, count)

    def measured() -> TrainingSpeed | None:
        try:
            return training_speed(network, engine, late.n_stages, count, folder, spare)
        except ShortageError as error:
            LOGGER.warning("What training %s takes is estimated: %s", late.backbone, one_line(error))
            return estimated()
        except BackboneError as error:
            LOGGER.warning("Only what leaves %s frozen is compared: %s", late.backbone, one_line(error))
            return None

    return spare.attempt(TIMING, measured, estimated)


def _size(lab: Lab, name: str, sample: Sample) -> Size:
    n_parameters = lab.networks.n_parameters(name)
    return judge_size(sample.n_training, sample.per_class, n_parameters, lab.calibration.borders)


def _flips(lab: Lab, screened: Candidate, features: Features, sample: Sample, spare: SpareTime) -> tuple[FlipHarm, ...]:
    """Return what mirrored pictures do; nothing where there is no time to see."""
    rows = sample.subset(MAX_PICTURES, lab.seed)[:MAX_PICTURES]
    source, pictures = screened.source, [sample.pictures[row] for row in rows]

    def looked_at() -> tuple[FlipHarm, ...]:
        flipped = {}
        for view in ("hflip", "vflip"):
            with lab.monitor.activity(f"Features of flipped pictures ({view})") as update:
                values = lab.features(screened.backbone, pictures, view, spare.counting(update))
                flipped[view] = values.matrix(source.cuts, source.pooling)
        return judge_flips(screened, features.matrix(source.cuts, source.pooling), sample, rows, flipped)

    return spare.attempt(FLIPS, looked_at, lambda: ())
