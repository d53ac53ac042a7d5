"""What training the ConvNet gains over the best frozen one, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from automl_tl.strategies import Strategy


@dataclass(frozen=True)
class GainPrior:
    """What training the ConvNet gains over the best frozen one: the share of its errors that disappear."""

    mean: float
    sd: float


_GAINS: dict[tuple[Strategy, bool], GainPrior] = {
    # Measured with EfficientNet-Lite0 from the solved head, last three or all stages: flowers .28 to .39 and
    # trashnet -.02 to .06 (similar); sign_digits .75 to .89, blood_wbc .23 to .36, omniglot .31 (different).
    ("fine_tuning", False): GainPrior(0.15, 0.20),
    ("fine_tuning", True): GainPrior(0.50, 0.25),
    # From a random head with BatchNorm training, 40 pictures per class: trashnet -.27 (similar);
    # sign_digits .80, omniglot .29, blood_wbc -.28 (different).
    ("pretrained_initialization", False): GainPrior(-0.15, 0.25),
    ("pretrained_initialization", True): GainPrior(0.30, 0.45),
}
_MANY_PICTURES_GAIN = 0.25
"""What many pictures add to `pretrained_initialization`: its loss against fine-tuning is a loss on few."""


def gain_prior(strategy: Strategy, different: float | None, large: float) -> GainPrior:
    """Return the expected relative reduction of the frozen ConvNet's errors, before anything is trained.

    Args:
        strategy: `fine_tuning` or `pretrained_initialization`.
        different: probability that the pictures are unlike the pretraining domain; None: unknown, even odds.
        large: probability that they are many.
    """
    like, unlike = _GAINS[strategy, False], _GAINS[strategy, True]
    p = 0.5 if different is None else different
    mean = (1 - p) * like.mean + p * unlike.mean
    spread = (1 - p) * like.sd**2 + p * unlike.sd**2
    between = p * (1 - p) * (like.mean - unlike.mean) ** 2
    if strategy == "pretrained_initialization":
        mean += _MANY_PICTURES_GAIN * large
    return GainPrior(mean, (spread + between) ** 0.5)
