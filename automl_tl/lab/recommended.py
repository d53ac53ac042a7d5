"""What a recommendation amounts to as a configuration: what the trainer is given."""

from __future__ import annotations

from collections.abc import Mapping

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.features.extract import Features
from automl_tl.lab.assessment import Assessment
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.rates import starting_rates
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.learning.linear import as_matrix, measure_scaling
from automl_tl.learning.recipe import LABEL_SMOOTHING, Recipe, epochs_for


def fine_tuning(
    found: Assessment,
    *,
    unfrozen: int | None = None,
    cut: int | None = None,
    policy: AugmentationPolicy | None = None,
) -> Configuration:
    """Return the recommended fine-tuning.

    The head reads the last stage alone. Several cuts, with deviations, earn much where nothing is trained, and nothing
    here: in searches of three minutes they reached .848 and .981 (clothing, hand signs), the last stage .866 and .983.
    A head on many early cuts even fits the training pictures before anything has been learned.

    Args:
        found: what is known of the data set.
        unfrozen: stages that learn; default: those that are advised.
        cut: the last stage that is kept; default: of all.
        policy: default: the advised one.
    """
    late = found.evidence.late
    cut = late.n_stages if cut is None else cut
    how = Recipe(
        unfrozen=min(found.unfreezing.count if unfrozen is None else unfrozen, cut),
        epochs=epochs_for(found.sample.n_training),
        label_smoothing=LABEL_SMOOTHING,
        policy=found.advice.augmentation if policy is None else policy,
        **vars(starting_rates("fine_tuning", found.fine_tuning)),
    )
    return Configuration("fine_tuning", late.backbone, late.n_stages, (cut,), "mean", how)


def from_pretrained(found: Assessment, *, policy: AugmentationPolicy | None = None) -> Configuration:
    """Return the recommended training of everything from the pretrained weights; arguments as for `fine_tuning`."""
    late = found.evidence.late
    how = Recipe(
        unfrozen=late.n_stages, epochs=epochs_for(found.sample.n_training), batchnorm="adapting",
        label_smoothing=LABEL_SMOOTHING,
        policy=found.advice.augmentation if policy is None else policy,
        **vars(starting_rates("pretrained_initialization", found.fine_tuning)),
    )  # fmt: skip
    return Configuration("pretrained_initialization", late.backbone, late.n_stages, (late.n_stages,), "mean", how)


def frozen(candidate: Candidate, features: Mapping[str, Features], n: int) -> Configuration:
    """Return a screened or solved frozen candidate.

    Args:
        candidate: of the evidence.
        features: by backbone, of n pictures.
        n: pictures that its strength is for.
    """
    source, path = candidate.source, candidate.path
    penalty = path.penalty
    if path.kind != "ridge":
        X = as_matrix(features[candidate.backbone].matrix(source.cuts, source.pooling))
        penalty *= n / max(int(measure_scaling(X).varies.sum()), 1)
    how = Frozen(path.kind, float(penalty))
    return Configuration("frozen", candidate.backbone, candidate.n_stages, source.cuts, source.pooling, how)
