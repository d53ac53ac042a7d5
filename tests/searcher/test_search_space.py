from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import FixedTrial, Trial
from tasks import RIDGE, SOFTMAX, TUNED, random_study, retuned, rounded, space

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.lab.advice import augmentation_policy
from automl_tl.lab.flips import FlipHarm
from automl_tl.learning.configuration import CLASSIFIERS, VIEW_SETS, Configuration, Frozen
from automl_tl.learning.recipe import LAYERS, MOST_EPOCHS, MOST_LONG_EPOCHS, Recipe
from automl_tl.searcher.space.search_space import (
    LONGEST_JOIN,
    Space,
    cut_of,
    parameters,
    space_from_dict,
    space_to_dict,
    suggest,
)

NOWHERE: dict[str, frozenset[int]] = {"tiny": frozenset(), "wide": frozenset()}
SPACES = {
    "plain": space(),
    "one backbone of one stage": space({"single": 1}),
    "deep": space({"deep": 24, "tiny": 3}),
    "frozen only": space(training=("frozen",), classifiers=("ridge",), views=("plain",)),
    "trained only": space(training=("fine_tuning", "pretrained_initialization")),
    "many, imbalanced, every flip": space(many=True, imbalanced=True, vflip=True),
    "neither joined nor augmented": space(joined=False, augmented=False, hflip=False),
    "few pictures, and time": space(long_epochs=MOST_LONG_EPOCHS),
    "tokens": replace(space(), grids=NOWHERE, maps=NOWHERE),
    "a class token": space(patches=frozenset({"wide"})),
    "one without BatchNorm": space(layer_decay={"tiny": 0.65, "wide": 1.0}, with_batchnorm=frozenset({"wide"})),
}  # fmt: skip


def draws(of: Space, n: int = 150, seed: int = 0) -> list[tuple[Trial, Configuration]]:
    study, found = random_study(seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(n):
            trial = study.ask()
            found.append((trial, suggest(trial, of)))
    return found


@pytest.fixture(params=SPACES, scope="module")
def drawn(request: pytest.FixtureRequest) -> tuple[Space, list[tuple[Trial, Configuration]]]:
    return SPACES[request.param], draws(SPACES[request.param])


Drawn = tuple[Space, list[tuple[Trial, Configuration]]]


def test_parameters_are_the_inverse_of_suggest(drawn: Drawn) -> None:
    of, some = drawn
    for _, configuration in some:
        assert rounded(suggest(FixedTrial(parameters(configuration, of)), of)) == rounded(configuration)


def test_a_trial_has_the_parameters_that_it_uses_and_no_others(drawn: Drawn) -> None:
    of, some = drawn
    for trial, configuration in some:
        if configuration.pooling == "mean" and trial.params.get("pooling") in ("grid", "mean+patches"):
            continue  # of an output that has none
        assert set(parameters(configuration, of)) - {"pooling"} == set(trial.params) - {"pooling"}


def test_what_does_not_depend_on_another_choice_does_not_appear_with_it(drawn: Drawn) -> None:
    of, some = drawn
    for trial, configuration in some:
        asked = set(trial.params)
        if configuration.training == "frozen":
            assert not asked & {"head_lr", "epochs", "unfrozen", "lr_ratio", "rotation", "layers", "batchnorm"}
            assert len(asked & {"penalty", "l2"}) == 1
        else:
            assert not asked & {"classifier", "penalty", "l2", "views"}
            assert len(asked & {"lr_ratio", "whole_lr_ratio"}) == 1
        if configuration.training == "pretrained_initialization":
            assert not asked & {"depth", "joined", "pooling", "unfrozen", "layers", "batchnorm"}
        assert ("head_epochs" in asked) == (trial.params.get("layers", "linear") != "linear")
        has_batchnorm = of.with_batchnorm is None or configuration.backbone in of.with_batchnorm
        assert ("batchnorm" in asked) == (configuration.training == "fine_tuning" and has_batchnorm)
        assert "mixup" not in asked or of.many
        assert "balanced" not in asked or of.imbalanced
        assert "vflip" not in asked or of.vflip


def test_only_fine_tuning_goes_round_few_pictures_more_often(drawn: Drawn) -> None:
    of, some = drawn
    longest = {"fine_tuning": max(MOST_EPOCHS, of.long_epochs), "pretrained_initialization": MOST_EPOCHS}
    for _, configuration in some:
        if configuration.is_trained:
            assert configuration.tuned.epochs <= longest[configuration.training]
    if of.long_epochs:
        assert max(c.tuned.epochs for _, c in some if c.training == "fine_tuning") > MOST_EPOCHS


def test_every_cut_pooling_and_layer_can_be_built(drawn: Drawn) -> None:
    of, some = drawn
    for _, c in some:
        assert c.n_stages == of.n_stages[c.backbone]
        assert 1 <= c.cuts[0] <= c.cuts[-1] <= c.n_stages
        assert list(c.cuts) == list(range(c.cuts[0], c.cuts[-1] + 1))
        assert len(c.cuts) <= (LONGEST_JOIN if of.joined else 1)
        assert len(c.cuts) == 1 or c.pooling == "mean+std"
        assert c.pooling != "grid" or c.cuts[-1] in of.grids[c.backbone]
        assert c.pooling != "mean+patches" or (c.backbone in of.patches and c.cuts == (of.n_stages[c.backbone],))
        assert c.training in of.training
        if isinstance(c.how, Frozen):
            assert c.how.classifier in of.classifiers
            assert c.how.views in of.views
            assert not (c.balanced and c.how.classifier == "ridge")
        else:
            assert 1 <= c.how.unfrozen <= c.cuts[-1]
            assert c.how.layers != "convolution" or c.cuts[-1] in of.maps[c.backbone]
            assert c.how.layer_decay == of.layer_decay.get(c.backbone, 1.0)
            assert of.augmented or c.how.policy == AugmentationPolicy()
            assert c.how.policy.vflip == 0 or of.vflip
            assert c.how.policy.scale[0] <= 1 <= c.how.policy.scale[1]
        if c.training == "pretrained_initialization":
            assert isinstance(c.how, Recipe)
            assert (c.cuts, c.how.unfrozen, c.how.head_epochs) == ((c.n_stages,), c.n_stages, 0)


def test_a_configuration_survives_json(drawn: Drawn) -> None:
    for _, configuration in drawn[1]:
        assert Configuration.from_dict(json.loads(json.dumps(configuration.to_dict()))) == configuration


@pytest.mark.parametrize("of", SPACES.values(), ids=SPACES.keys())
def test_a_space_survives_json(of: Space) -> None:
    assert space_from_dict(json.loads(json.dumps(space_to_dict(of)))) == of


def test_a_run_from_before_asks_all_about_batchnorm_and_has_no_longer_schedules() -> None:
    known = space_to_dict(space())
    del known["with_batchnorm"], known["layer_decay"], known["long_epochs"]
    assert space_from_dict(known) == space()


def test_everything_that_may_be_chosen_is_chosen() -> None:
    configurations = [c for _, c in draws(SPACES["many, imbalanced, every flip"], 600)]
    tuned = [c.how for c in configurations if isinstance(c.how, Recipe)]
    assert {c.strategy for c in configurations} == {
        "feature_extractor", "early_feature_extractor", "fine_tuning", "pretrained_initialization",
    }  # fmt: skip
    assert {c.how.classifier for c in configurations if isinstance(c.how, Frozen)} == set(CLASSIFIERS)
    assert {c.how.views for c in configurations if isinstance(c.how, Frozen)} == set(VIEW_SETS)
    assert {how.layers for how in tuned} == set(LAYERS)
    assert {how.batchnorm for how in tuned} == {"frozen", "adapting"}
    assert {(how.policy.hflip > 0, how.policy.vflip > 0) for how in tuned} == {(a, b) for a in (0, 1) for b in (0, 1)}
    cuts = Counter((c.backbone, c.cuts[-1]) for c in configurations if c.training == "frozen")
    assert set(cuts) == {("tiny", k) for k in range(1, 4)} | {("wide", k) for k in range(1, 6)}


def test_every_cut_of_a_shallow_backbone_is_meant_by_its_share_of_the_depth() -> None:
    assert all(cut_of(k / n, n) == k for n in range(1, 25) for k in range(1, n + 1))


def test_every_cut_of_a_deep_backbone_is_meant_by_its_share_of_the_depth() -> None:
    assert [(k, n) for n in range(25, 120) for k in range(1, n + 1) if cut_of(k / n, n) != k] == []


def test_a_share_of_the_depth_reaches_from_the_first_cut_to_the_last() -> None:
    for n in (1, 2, 9, 24):
        cuts = [cut_of(depth / 200, n) for depth in range(201)]
        assert cuts == sorted(cuts)
        assert set(cuts) == set(range(1, n + 1))


def test_the_recommended_augmentation_is_what_is_tried() -> None:
    allowed = [FlipHarm(view, 0.0, 0.01, 20) for view in ("hflip", "vflip")]
    policy, _ = augmentation_policy(allowed)
    of = space(vflip=True)
    asked = retuned(TUNED, policy=policy)
    assert rounded(suggest(FixedTrial(parameters(asked, of)), of)) == rounded(asked)


@pytest.mark.parametrize(
    ("configuration", "strategy", "head", "words"),
    [
        (RIDGE, "feature_extractor", "ridge", "tiny, cut 3 of 3, mean, ridge"),
        (replace(RIDGE, cuts=(1,)), "early_feature_extractor", "ridge", "tiny, cut 1 of 3, mean, ridge"),
        (SOFTMAX, "feature_extractor", "softmax", "tiny, cuts 2+3 of 3, mean+std, softmax"),
        (
            replace(RIDGE, how=Frozen("softmax", 1.0, "flips")),
            "feature_extractor", "softmax", "tiny, cut 3 of 3, mean, softmax, flips as well",
        ),
        (TUNED, "fine_tuning", "linear", "tiny, cut 3 of 3, mean, last 2 stages, linear head, 5 epochs"),
        (
            retuned(TUNED, unfrozen=3, layers="convolution"),
            "fine_tuning", "convolution", "tiny, cut 3 of 3, mean, all stages, convolution head, 5 epochs",
        ),
    ],
)  # fmt: skip
def test_a_configuration_says_what_it_is(configuration: Configuration, strategy: Any, head: str, words: str) -> None:
    assert (configuration.strategy, configuration.head, configuration.describe()) == (strategy, head, words)


@pytest.mark.parametrize("apart", [True, False])
def test_fine_tuning_and_frozen_heads_learn_nothing_of_each_others_cuts(apart: bool) -> None:
    """The sweep has dozens of joined cuts, which are best for frozen heads and not for fine-tuning."""
    of = {one: set(parameters(one, space(tuned_apart=apart))) for one in (TUNED, RIDGE)}
    shared = of[TUNED] & of[RIDGE] & {"joined", "pooling"}
    assert shared == (set() if apart else {"joined", "pooling"})
    assert ({"tuned_joined", "tuned_pooling"} <= of[TUNED]) == apart
    assert space_from_dict({**space_to_dict(space()), "tuned_apart": apart}).tuned_apart == apart


def test_a_space_of_before_is_as_it_was() -> None:
    values = space_to_dict(space(tuned_apart=True))
    del values["tuned_apart"]
    assert not space_from_dict(values).tuned_apart
