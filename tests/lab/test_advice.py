from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from automl_tl.backbones.contract import FineTuning
from automl_tl.domain.similarity import Domain
from automl_tl.lab.advice import advise, augmentation_policy, stages_to_unfreeze
from automl_tl.lab.flips import FlipHarm, flip_harm
from automl_tl.learning.recipe import LR_RATIO
from automl_tl.recommender.confusion import confusion

NEAR = Domain("b", 0.03, "embedding", 0.5, "similar", 0.9, 0.1, "ImageNet", (0.05,) * 9, 0.05, True)
FAR = replace(NEAR, verdict="different", different=0.95, by_depth=(0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.4, 0.4))
HARMLESS, HARMFUL = FlipHarm("hflip", 0.0, 0.01, 100), FlipHarm("vflip", 0.2, 0.03, 100)


def test_a_frozen_convnet_unfreezes_nothing() -> None:
    advice = advise("feature_extractor", stages_to_unfreeze(NEAR, 9), [HARMLESS, HARMFUL], FineTuning())
    assert advice.unfreeze == 0
    assert not any("nfreeze" in reason for reason in advice.reasons)


def test_fine_tuning_unfreezes_from_where_the_pictures_are_strange() -> None:
    assert stages_to_unfreeze(NEAR, 9).count == 3
    far = stages_to_unfreeze(FAR, 9)
    assert far.count == 5
    assert "stage 5 is the first" in far.reason
    assert advise("fine_tuning", far, [], FineTuning()).unfreeze == 5
    assert advise("pretrained_initialization", stages_to_unfreeze(NEAR, 9), [], FineTuning()).unfreeze == 9


def test_a_backbone_without_batchnorm_gets_the_usual_third() -> None:
    domain = replace(FAR, depth_distance=None, by_depth=(math.nan,) * 9)
    unfreezing = stages_to_unfreeze(domain, 9)
    assert unfreezing.count == 3
    assert "it is not known from which depth on" in unfreezing.reason


def test_the_backbone_learns_slower_than_its_head_the_less_so_the_less_it_was_trained() -> None:
    third = stages_to_unfreeze(NEAR, 9)
    tuned, whole = (advise(name, third, [], FineTuning()) for name in ("fine_tuning", "pretrained_initialization"))
    assert tuned.lr_ratio == LR_RATIO > whole.lr_ratio >= 1
    assert any("start at 3 to 1" in reason for reason in tuned.reasons)


def test_a_published_rate_is_where_training_begins_and_is_said_to_be_published() -> None:
    third, published = stages_to_unfreeze(NEAR, 9), FineTuning(5e-5, 0.65)
    tuned, whole = (advise(name, third, [], published) for name in ("fine_tuning", "pretrained_initialization"))
    assert (tuned.lr_ratio, whole.lr_ratio) == (20, 2)
    for advice in (tuned, whole):
        assert any("5e-05 is published for its last stage; each stage learns 0.65" in why for why in advice.reasons)


def test_flips_follow_the_probe_and_say_why() -> None:
    policy, reasons = augmentation_policy([HARMLESS, HARMFUL])
    assert (policy.hflip, policy.vflip) == (0.5, 0.0)
    assert reasons[1].startswith(
        "Flip upside down off: flipping 100 pictures changed the classifier's accuracy by -20.0 points"
    )
    free, _ = augmentation_policy([HARMLESS, replace(HARMFUL, harm=0.0)])
    assert free.vflip == 0.5
    assert free.rotation > policy.rotation


def test_harm_within_noise_is_none() -> None:
    assert FlipHarm("hflip", 0.04, 0.05, 20).allowed
    assert FlipHarm("hflip", 0.038, 0.025, 80).allowed  # 1.5 standard errors
    assert not FlipHarm("hflip", 0.045, 0.025, 80).allowed
    assert not FlipHarm("hflip", 0.04, 0.01, 400).allowed


def test_flip_harm_is_the_paired_difference() -> None:
    harm = flip_harm("hflip", np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0], bool))
    assert harm.harm == pytest.approx(0.5)
    assert harm.n == 4


@pytest.mark.parametrize(("n_stages", "expected"), [(1, 1), (3, 1), (5, 2), (9, 3), (13, 4)])
def test_a_third_of_the_stages(n_stages: int, expected: int) -> None:
    domain = replace(NEAR, by_depth=(0.05,) * n_stages)
    assert stages_to_unfreeze(domain, n_stages).count == expected


def test_harm_that_could_be_large_is_not_noise() -> None:
    assert not FlipHarm("hflip", 0.075, 0.075, 40).allowed


def test_confusion_names_pairs_and_weak_classes() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    answers = np.array([0, 0, 1, 1, 1, 1, 2, 0])
    result = confusion(y, answers, ["cat", "dog", "owl"])
    assert (result.pairs[0].true, result.pairs[0].predicted, result.pairs[0].count) == ("cat", "dog", 2)
    assert result.pairs[0].share == pytest.approx(0.5)
    assert {w.label for w in result.weakest} == {"cat", "owl"}
    assert confusion(y, y, ["cat", "dog", "owl"]).pairs == ()
    assert confusion(y[:0], y[:0], ["cat", "dog", "owl"]).weakest == ()
