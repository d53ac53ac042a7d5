"""Which of two ways to make pictures square lets frozen features tell the classes apart better.

Sizes alone (`data.fit`) do not say whether the middle of a photo matters more than its ends. On eight draws of 10 to 50
pictures a class (EfficientNet-Lite0, `benchmarks/fit_choice.py`) heads on the middle of photos of clothes are ahead of
those on the squashed whole by 3.0 to 5.6 points, of photos of waste behind by .7 to .9, and tiles are better squashed
than padded by 3. What is chosen here has 3.0 to 4.9 of clothes' points, loses none of waste's, and has .4 to .9 of
tiles'. On other draws of the same sets half a standard error had more of the gains and more of the losses, one and a
half had less of either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from automl_tl.errors import DataError
from automl_tl.lab.considered import without_broken
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import FOLDS_OF_TRAINED, Sample, draw_sample
from automl_tl.learning.bootstrap import stderr_of_difference
from automl_tl.learning.scores import get_metric
from automl_tl.learning.screen import ridge_path
from automl_tl.spare_time import UNLIMITED, LateError, SpareTime

ALTERNATIVES = {"squash": "crop", "pad": "squash"}
"""What else is tried, by what the sizes say; almost square pictures look the same either way."""
WORDS = {"squash": "squashing", "pad": "padding", "crop": "cutting out the middle"}
LOOKED_AT = 400
"""Pictures that are seen in both ways, at most."""
STEPS = (200, 100, 50)
"""Where there is no time for all of them, so that machines and commands agree; where there is none for 50, and there
are more, nothing is tried."""
MOST_CLASSES = LOOKED_AT // 2
"""Of more there are too few of each among so many pictures."""
FEWEST_GROUPS = 10
"""Pictures that belong together count as one; of fewer the standard error is not known."""
JOINED = 3
"""Last stages whose means are joined: what is usually best, or nearly."""
LOG_LOSS = get_metric("log_loss")
"""Of calibrated answers, whatever metric is to be good: it tells two ways apart by every picture."""
STDERRS = 1.0
"""Standard errors of the difference by which the log loss must be lower."""


def with_best_fit(lab: Lab, seconds: float = math.inf, spare: SpareTime = UNLIMITED, most: int = LOOKED_AT) -> Lab:
    """Return the laboratory in which pictures become square so that frozen features tell them apart best.

    The smallest backbone decides for all, by pictures of the part "train" alone. Where it fails on them, they are too
    few or time is short, sizes decide.

    Args:
        lab: with what the sizes say.
        seconds: what seeing pictures in the other way may take; it bounds how many are looked at.
        spare: until when.
        most: pictures that may be looked at.
    """
    other = ALTERNATIVES.get(lab.report.fit)
    if other is None or seconds <= 0 or spare.is_over or lab.dataset.frame["label"].nunique() > MOST_CLASSES:
        return lab
    parameters, _ = without_broken(lab.networks, lab.backbones, lab.networks.n_parameters, spare)
    smallest = sorted(parameters, key=parameters.__getitem__)[:1]
    try:
        found, _ = without_broken(
            lab.networks, smallest, lambda name: _better(lab, other, name, _sample(lab, name, seconds, most), spare)
        )
    except LateError:
        return lab
    return next(iter(found.values()), lab)


def seconds_to_choose(lab: Lab, costs: Mapping[str, float], n: int) -> float:
    """Return what seeing so many pictures in another way takes; 0 where sizes leave no choice.

    Args:
        lab: with what the sizes say.
        costs: by backbone, seconds per picture.
        n: pictures that may be looked at.
    """
    return min(n, LOOKED_AT) * min(costs.values(), default=0.0) if lab.report.fit in ALTERNATIVES else 0.0


def _sample(lab: Lab, name: str, seconds: float, most: int) -> Sample | None:
    """Return pictures for whose features there is time; None where they are too few to tell anything."""
    all_of_them = min(LOOKED_AT, most)
    try:
        for size in (all_of_them, *(step for step in STEPS if step < all_of_them)):
            sample = draw_sample(lab.dataset, size, lab.seed, most_folds=FOLDS_OF_TRAINED)
            if seconds == math.inf or sample.n * lab.picture_seconds(name, sample.pictures) <= seconds:
                return sample if len(np.unique(sample.groups)) >= FEWEST_GROUPS else None
    except DataError:  # all that were drawn are of one group
        return None
    return None


def _better(lab: Lab, other: str, name: str, sample: Sample | None, spare: SpareTime) -> Lab:
    """Return the laboratory with the way that a backbone tells pictures apart better in, and why it is."""
    if sample is None:
        return lab
    fit = lab.report.fit
    now, then = (_scores(lab.with_fit(one, ""), name, sample, spare) for one in (fit, other))
    known = ~np.isin(sample.y, [sample.classes.index(label) for label in sample.lonely_classes])
    if not known.any():
        return lab
    y, now, then = sample.y[known], now[known], then[known]
    before, after = LOG_LOSS.function(y, now), LOG_LOSS.function(y, then)
    stderr = stderr_of_difference(LOG_LOSS, y, now, then, sample.groups[known], lab.seed)
    digits = 2 if stderr >= 0.005 else 4  # of what is next to all right two say nothing
    told = [f"{value:.{digits}f}" for value in (after, before, stderr)]
    seen = f"log loss {told[0]} instead of {told[1]} on {len(y)} of them, standard error {told[2]}"
    if before - after > STDERRS * stderr:
        return lab.with_fit(other, f"{WORDS[other]} tells these pictures apart better than {WORDS[fit]} ({seen})")
    return lab.with_fit(fit, f"{lab.report.fit_reason}, and {WORDS[other]} is not clearly better ({seen})")


def _scores(lab: Lab, name: str, sample: Sample, spare: SpareTime) -> np.ndarray:
    """Return out-of-fold scores of the screen of the last stages, joined: float32 (n, C)."""
    spare.check()
    with lab.monitor.activity(f"Features of pictures made square by {WORDS[lab.report.fit]}") as update:
        features = lab.features(name, sample.pictures, progress=spare.counting(update))
    last = features.n_stages
    X = features.matrix(range(max(last - JOINED, 0) + 1, last + 1))
    return ridge_path(sample.problem(X), metric=LOG_LOSS.name, device=lab.engine.device).oof
