"""What is trained, in the field's own terms: a point of the search space, a recommendation, what a user asks for.

Imports no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.foreign import check_fields, listed, one_of, whole_number
from automl_tl.learning.recipe import LAYERS, Recipe
from automl_tl.strategies import Strategy, frozen_strategy

Training = Literal["frozen", "fine_tuning", "pretrained_initialization"]
CLASSIFIERS = ("ridge", "softmax", "ovr_logistic", "linear_svm")
MOST_STAGES = 10_000
VIEW_SETS = {"plain": (), "flips": ("hflip", "vflip"), "flips+zoom": ("hflip", "vflip", "zoom")}
"""Further views of every training picture that a frozen model learns from, as far as flips are allowed."""


@dataclass(frozen=True)
class Frozen:
    """A linear classifier on frozen features."""

    classifier: str
    """One of CLASSIFIERS."""
    penalty: float
    """Of ridge in units of the kernel's mean diagonal; L2 of the others as a multiple of columns over pictures."""
    views: str = "plain"
    """One of VIEW_SETS."""


@dataclass(frozen=True)
class Configuration:
    """A candidate before it is tried."""

    training: Training
    backbone: str
    n_stages: int
    cuts: tuple[int, ...]
    pooling: str
    how: Frozen | Recipe
    balanced: bool = False
    """Whether every class counts the same in the loss, however many pictures it has."""

    @property
    def strategy(self) -> Strategy:
        """The one of the four strategies that this is."""
        return frozen_strategy(self.cuts, self.n_stages) if self.training == "frozen" else self.training

    @property
    def is_trained(self) -> bool:
        """Whether stages of the backbone learn."""
        return isinstance(self.how, Recipe)

    @property
    def tuned(self) -> Recipe:
        """How the stages of a trained configuration learn."""
        assert isinstance(self.how, Recipe)
        return self.how

    @property
    def frozen(self) -> Frozen:
        """The classifier of a frozen configuration."""
        assert isinstance(self.how, Frozen)
        return self.how

    @property
    def source(self) -> tuple[str, tuple[int, ...], str]:
        """What the head reads: backbone, cuts and pooling."""
        return self.backbone, self.cuts, self.pooling

    @property
    def head(self) -> str:
        """What the head is: a classifier of a frozen ConvNet, or the layers that learn with it."""
        return self.how.classifier if isinstance(self.how, Frozen) else self.how.layers

    def describe(self) -> str:
        """Return the configuration as a short phrase.

        >>> Configuration("frozen", "tiny", 9, (7, 8), "mean+std", Frozen("softmax", 0.1)).describe()
        'tiny, cuts 7+8 of 9, mean+std, softmax'
        """
        word = "cuts" if len(self.cuts) > 1 else "cut"
        where = f"{self.backbone}, {word} {'+'.join(map(str, self.cuts))} of {self.n_stages}, {self.pooling}"
        if isinstance(self.how, Frozen):
            views = "" if self.how.views == "plain" else f", {self.how.views} as well"
            return f"{where}, {self.how.classifier}{views}"
        some = "last stage" if self.how.unfrozen == 1 else f"last {self.how.unfrozen} stages"
        learns = "all stages" if self.how.unfrozen >= max(self.cuts) else some
        return f"{where}, {learns}, {self.how.layers} head, {self.how.epochs} epochs"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them."""
        values = {**asdict(self), "cuts": list(self.cuts), "strategy": self.strategy}
        if isinstance(self.how, Recipe):
            values["how"]["policy"] = self.how.policy.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Configuration:
        """Return the configuration that `to_dict` described.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is none.
        """
        rest = {k: v for k, v in check_fields(values, cls).items() if k not in ("how", "cuts", "strategy")}
        cuts = _cuts(values["cuts"], whole_number(values["n_stages"], 1, MOST_STAGES))
        if values["training"] == "frozen":
            return cls(**rest, cuts=cuts, how=_frozen(values["how"]))
        return cls(**rest, cuts=cuts, how=_recipe(values["how"]))


def _cuts(values: Any, n_stages: int) -> tuple[int, ...]:
    """Return cuts; raises ValueError where they are not stages in their order."""
    cuts = tuple(whole_number(cut, 1, n_stages) for cut in listed(values))
    if not cuts or list(cuts) != sorted(set(cuts)):
        raise ValueError("cuts that are not in their order")
    return cuts


def _recipe(values: Any) -> Recipe:
    how = check_fields(values, Recipe)
    found = Recipe(**{**how, "policy": AugmentationPolicy.from_dict(how["policy"])})
    one_of(found.layers, LAYERS)
    return found


def _frozen(values: Any) -> Frozen:
    found = Frozen(**check_fields(values, Frozen))
    one_of(found.classifier, CLASSIFIERS)
    one_of(found.views, VIEW_SETS)
    return found
