"""Which of two ways to make pictures square lets frozen features tell the classes apart better.

Sizes alone (`data.fit`) do not say whether the middle of a photo matters more than its ends. On draws of 10 to 50
pictures a class (EfficientNet-Lite0, heads on features of either kind, all other pictures as test) the middle of photos
of clothes is ahead of the squashed whole by 3.0 to 4.8 points, of waste behind by .8 to 1.5, and tiles are better
squashed than padded by 2.8. What is chosen here has 2.1 to 4.8 of clothes' points, loses 0 to .2 of waste's, and has
1.7 to 2.1 of tiles'. Half a standard error would have more of the gains and lose as much again; one and a half have
less.
"""

from __future__ import annotations

import math
from functools import partial

from automl_tl.lab.considered import without_broken
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import FOLDS_OF_TRAINED, Sample, draw_sample
from automl_tl.learning.bootstrap import stderr_of_difference
from automl_tl.learning.scores import PenaltyPath, get_metric
from automl_tl.learning.screen import ridge_path
from automl_tl.spare_time import UNLIMITED, LateError, SpareTime

PARTS = ("train", "val")
"""Of the split, whose pictures may decide."""
ALTERNATIVES = {"squash": "crop", "pad": "squash"}
"""What else is tried, by what the sizes say; almost square pictures look the same either way."""
WORDS = {"squash": "squashing", "pad": "padding", "crop": "cutting out the middle"}
LOOKED_AT = 400
"""Pictures that are seen in both ways, at most."""
LEAST_LOOKED_AT = 50
"""Where there is time for fewer, and there are more, nothing is tried."""
JOINED = 3
"""Last stages whose means are joined: what is usually best, or nearly."""
LOG_LOSS = get_metric("log_loss")
"""Of calibrated answers, whatever metric is to be good: it tells two ways apart by every picture."""
STDERRS = 1.0
"""Standard errors of the difference by which the log loss must be lower."""


def with_best_fit(lab: Lab, seconds: float = math.inf, spare: SpareTime = UNLIMITED) -> Lab:
    """Return the laboratory in which pictures become square so that frozen features tell them apart best.

    The smallest backbone decides for all. Where it fails on these pictures, or time is short, their sizes do.

    Args:
        lab: with what the sizes say.
        seconds: what seeing pictures in the other way may take; it bounds how many are looked at.
        spare: until when.
    """
    other = ALTERNATIVES.get(lab.report.fit)
    if other is None:
        return lab
    parameters, _ = without_broken(lab.networks, lab.backbones, partial(_parameters, lab))
    smallest = sorted(parameters, key=parameters.__getitem__)[:1]
    try:
        found, _ = without_broken(lab.networks, smallest, lambda name: _better(lab, other, name, seconds, spare))
    except LateError:
        return lab
    return next(iter(found.values()), lab)


def _parameters(lab: Lab, name: str) -> int:
    return sum(p.numel() for stage in lab.networks.network(name).stages for p in stage.parameters())


def _better(lab: Lab, other: str, name: str, seconds: float, spare: SpareTime) -> Lab:
    """Return the laboratory with the way that a backbone tells pictures apart better in, and why it is."""
    sample = _sample(lab, name, seconds)
    if sample is None:
        return lab
    fit = lab.report.fit
    now, then = (_path(lab.with_fit(one, ""), name, sample, spare) for one in (fit, other))
    gain = now.value - then.value
    stderr = stderr_of_difference(LOG_LOSS, sample.y, now.oof, then.oof, sample.groups, lab.seed)
    seen = f"log loss {then.value:.2f} and {now.value:.2f} on {sample.n} of them, standard error {stderr:.2f}"
    if gain > STDERRS * stderr:
        return lab.with_fit(other, f"{WORDS[other]} tells these pictures apart better than {WORDS[fit]} ({seen})")
    return lab.with_fit(fit, f"{lab.report.fit_reason}, and {WORDS[other]} is not clearly better ({seen})")


def _sample(lab: Lab, name: str, seconds: float) -> Sample | None:
    """Return pictures for whose features there is time, or None where they are too few to tell anything."""
    sample = _drawn(lab, LOOKED_AT)
    if seconds == math.inf:
        return sample
    affordable = int(seconds / max(lab.picture_seconds(name, sample.pictures), 1e-9))
    if affordable < min(LEAST_LOOKED_AT, sample.n):
        return None
    sample = sample if sample.n <= affordable else _drawn(lab, affordable)
    return sample if sample.n <= affordable else None  # of very many classes two pictures each are more


def _drawn(lab: Lab, most: int) -> Sample:
    return draw_sample(lab.dataset, most, lab.seed, parts=PARTS, most_folds=FOLDS_OF_TRAINED)


def _path(lab: Lab, name: str, sample: Sample, spare: SpareTime) -> PenaltyPath:
    """Return the screen of the last stages, joined."""
    spare.check()
    with lab.monitor.activity(f"Features of pictures made square by {WORDS[lab.report.fit]}") as update:
        features = lab.features(name, sample.pictures, progress=spare.counting(update))
    last = features.n_stages
    X = features.matrix(range(max(last - JOINED, 0) + 1, last + 1))
    return ridge_path(sample.problem(X), metric=LOG_LOSS.name, device=lab.engine.device)
