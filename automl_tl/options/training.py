"""What is trained by `train`, in the terms of a configuration; whatever is left out is as recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_tl.options.declaration import option
from automl_tl.options.groups import LabOptions, OutOptions, TrackingOptions
from automl_tl.options.texts import parse_cuts
from automl_tl.strategies import STRATEGIES

POOLINGS = ("mean", "mean+std", "mean+patches", "grid")
CLASSIFIERS = ("ridge", "softmax", "ovr_logistic", "linear_svm")
VIEWS = ("plain", "flips", "flips+zoom")
LAYERS = ("linear", "fully_connected", "convolution")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What is read of the backbone."""

    strategy: str | None = option(
        None, "How the backbone is used.  [default: as recommended]",
        doc="one of the four strategies; default: the recommended one.", choices=STRATEGIES,
    )  # fmt: skip
    cuts: Sequence[int] | None = option(
        None, "Stages that the head reads, counted from 1: 9, or 7+8 for both.",
        doc="stages that the head reads, counted from 1.", metavar="K+K", parse=parse_cuts,
    )  # fmt: skip
    pooling: str | None = option(None, "How a stage's output is pooled over its positions.", choices=POOLINGS)
    balanced: bool = option(False, "Let every class count the same, however many pictures it has.")


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """What is solved on a frozen backbone."""

    classifier: str | None = option(None, "Frozen: the linear classifier.", choices=CLASSIFIERS)
    penalty: float | None = option(
        None,
        "Frozen: its regularisation, the larger the simpler; of ridge in units of the kernel's mean diagonal, of the "
        "others as a multiple of columns over pictures.", bounds=(1e-12, None), metavar="NUMBER",
    )  # fmt: skip
    views: str | None = option(None, "Frozen: learn from mirrored and zoomed pictures as well.", choices=VIEWS)


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How stages of a backbone learn."""

    unfreeze: int | None = option(
        None, "Trained: stages that learn, the last ones before the last cut.", bounds=(1, None), metavar="N"
    )
    epochs: int | None = option(None, "Trained: passes over the pictures.", bounds=(1, None), metavar="N")
    head_lr: float | None = option(
        None, "Trained: the head's highest learning rate.", bounds=(1e-9, 10), metavar="NUMBER"
    )
    lr_ratio: float | None = option(
        None,
        "Trained: how many times the backbone's learning rate the head's is.",
        bounds=(1e-3, 1e6),
        metavar="NUMBER",
    )
    layer_decay: float | None = option(
        None,
        "Trained: factor on the learning rate from each stage to the one before it; 1: all alike.",
        bounds=(1e-3, 1),
        metavar="SHARE",
    )
    layers: str | None = option(None, "Trained: what is added to the linear head.", choices=LAYERS)
    head_epochs: int | None = option(
        None, "Trained: passes before these in which the head learns alone.", bounds=(0, None), metavar="N"
    )
    weight_decay: float | None = option(None, "Trained: AdamW's.", bounds=(0, 1), metavar="NUMBER")
    batchnorm: str | None = option(
        None, "Trained: whether the BatchNorm of stages that learn adapts.", choices=("frozen", "adapting")
    )
    warmup: float | None = option(
        None, "Trained: share of the schedule in which the rates rise.", bounds=(0, 1), metavar="SHARE"
    )
    label_smoothing: float | None = option(
        None,
        "Trained: probability that is taken from the right label and spread over all classes.",
        bounds=(0, 0.9),
        metavar="SHARE",
    )
    mixup: float | None = option(
        None, "Trained: alpha of mixup's beta distribution; 0: none.", bounds=(0, 10), metavar="ALPHA"
    )
    cutmix: float | None = option(
        None, "Trained: alpha of cutmix's beta distribution; 0: none.", bounds=(0, 10), metavar="ALPHA"
    )
    augmentation: str | None = option(
        None, "Trained: none leaves every picture as it is.  [default: what leaves the labels as they are]",
        doc='"none" leaves every picture as it is; default: what leaves the labels as they are.', choices=("none",),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ConfigurationOptions(RecipeOptions, ClassifierOptions, SourceOptions):
    """One configuration."""


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Where training begins."""

    from_bundle: str | Path | None = option(
        None, "Go on from this model, with pictures of all its classes and of new ones.  [default: pretrained weights]",
        doc="folder of a model to go on from, with pictures of all its classes and, where there are any, of new ones; "
        "default: the pretrained weights.",
        flag="--from", metavar="BUNDLE",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ConfigurationOptions, StartOptions, TrackingOptions, OutOptions, LabOptions):
    """Every option of `train`.

    Raises:
        OptionError: values that make no sense.
    """

    def __post_init__(self) -> None:
        """Check the values; cuts may be given as any sequence."""
        super().__post_init__()
        object.__setattr__(self, "cuts", None if self.cuts is None else tuple(sorted(set(self.cuts))))
