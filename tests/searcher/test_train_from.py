"""Training that goes on from a model: what is carried over, what is new, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_pictures import picture, write_pictures
from tasks import TUNED, install, retuned
from tiny_backbone import TinyBackbone
from tiny_models import tiny_alone, trained_model

import automl_tl
from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Configuration
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.errors import BundleError
from automl_tl.options import ConfigurationOptions
from automl_tl.searcher import asked

OLD, NEW = ("apple", "leaf", "sky"), ("apple", "grape", "leaf", "sky")


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("from") / "old", per_class=8)


@pytest.fixture(scope="module")
def more(old: Path) -> Path:
    """The same pictures, and a class that sorts between them."""
    root = Path(shutil.copytree(old, old.parent / "more"))
    (root / "grape").mkdir()
    for index in range(8):
        picture(3, index).save(root / "grape" / f"{index:03d}.png")
    return root


@pytest.fixture(scope="module")
def first(old: Path) -> automl_tl.TrainResult:
    return tuned(old, old.parent / "first")


@pytest.fixture(scope="module")
def frozen(old: Path) -> automl_tl.TrainResult:
    return train(old, old.parent / "frozen", strategy="feature_extractor", cuts=(2, 3), pooling="mean+std")


def train(data: Path, out: Path, **options: Any) -> automl_tl.TrainResult:
    return automl_tl.train(data, out=out, device="cpu", **options)


def tuned(data: Path, out: Path, **options: Any) -> automl_tl.TrainResult:
    return train(data, out, strategy="fine_tuning", epochs=4, unfreeze=2, augmentation="none", **options)


# --- what goes on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["fully_connected", "convolution"])
def test_at_a_rate_of_next_to_nothing_the_model_stays_what_it_was(old: Path, tmp_path: Path, layers: str) -> None:
    """So stages, head and standardisation are carried over, whatever the head is made of."""
    first = tuned(old, tmp_path / "first", layers=layers, head_epochs=1)
    on = train(old, tmp_path / "on", from_bundle=first.bundle, head_lr=1e-9)
    assert on.configuration == retuned(first.configuration, head_lr=1e-9)
    before, after = load_bundle(first.bundle, "cpu"), load_bundle(on.bundle, "cpu")
    assert after.classes == before.classes == OLD
    pictures = [str(path) for path in sorted(old.rglob("*.png"))]
    np.testing.assert_allclose(_scores(before, pictures), _scores(after, pictures), atol=1e-4)
    assert on.origin is not None
    assert (on.origin.known, on.origin.new, on.origin.learned_on) == (OLD, (), True)


def _scores(model: automl_tl.Model, pictures: list[str]) -> np.ndarray:
    """Return logarithms of probabilities at a temperature of 1, so that two calibrations do not matter."""
    logits = np.log(model.probabilities(pictures)) * model.temperature
    centred: np.ndarray = logits - logits.mean(axis=1, keepdims=True)
    return centred


def test_a_new_class_gets_a_column_and_known_ones_keep_theirs(
    more: Path, tmp_path: Path, first: automl_tl.TrainResult
) -> None:
    on = train(more, tmp_path / "on", from_bundle=first.bundle.parent, head_lr=1e-9)
    before, after = load_bundle(first.bundle, "cpu"), load_bundle(on.bundle, "cpu")
    assert after.classes == NEW
    kept = [NEW.index(label) for label in OLD]
    ours, theirs = after.members[0].head.linear.weight[kept], before.members[0].head.linear.weight
    np.testing.assert_allclose(ours.detach(), theirs.detach(), atol=1e-5)
    predicted = after.predict([str(path) for path in sorted(more.rglob("*.png"))])
    right = {label: [one.label == label for one in predicted if Path(one.path).parent.name == label] for label in NEW}
    assert np.mean(right["grape"]) >= 0.75  # by its solved start alone: the rate is next to nothing
    assert on.origin is not None
    assert (on.origin.known, on.origin.new) == (OLD, ("grape",))
    assert on.to_dict()["from"]["classes_new"] == ["grape"]
    assert any("may be among those that this model is scored on" in note for note in on.notes)


def test_it_can_go_on_twice_and_in_the_other_trained_strategy(
    more: Path, tmp_path: Path, first: automl_tl.TrainResult
) -> None:
    second = train(more, tmp_path / "second", from_bundle=first.bundle, strategy="pretrained_initialization", epochs=2)
    assert (second.configuration.strategy, second.configuration.tuned.unfrozen) == ("pretrained_initialization", 3)
    third = train(more, tmp_path / "third", from_bundle=second.bundle, epochs=2)
    assert third.configuration == second.configuration
    assert third.history[0].loss < 2 * second.history[-1].loss + 0.1


def test_a_frozen_model_is_solved_anew_where_it_reads(
    more: Path, tmp_path: Path, frozen: automl_tl.TrainResult
) -> None:
    on = train(more, tmp_path / "on", from_bundle=frozen.bundle)
    assert on.configuration == frozen.configuration
    assert on.origin is not None
    assert not on.origin.learned_on
    assert "known before, learned anew, 1 new ('grape')" in on.origin.describe()
    assert any("its classifier is solved anew, on these pictures alone" in note for note in on.notes)
    other = train(more, tmp_path / "other", from_bundle=frozen.bundle, strategy="fine_tuning", epochs=2)
    assert other.configuration.strategy == "fine_tuning"


def test_of_an_ensemble_the_trained_member_goes_on(
    old: Path, tmp_path: Path, first: automl_tl.TrainResult, frozen: automl_tl.TrainResult
) -> None:
    model, other = load_bundle(first.bundle, "cpu"), load_bundle(frozen.bundle, "cpu")
    members = (replace(other.members[0], weight=0.7), replace(model.members[0], weight=0.3))
    configurations = [frozen.configuration.to_dict(), first.configuration.to_dict()]
    both = replace(model, members=members, details={"configuration": {"members": configurations}})
    on = train(old, tmp_path / "on", from_bundle=save_bundle(both, tmp_path / "both"), epochs=2)
    assert on.configuration == retuned(first.configuration, epochs=2)
    assert any(note.startswith("Of the 2 members of the bundle the new model has one alone") for note in on.notes)


# --- what is refused --------------------------------------------------------------------------------


def test_pictures_of_every_known_class_are_needed(more: Path, tmp_path: Path, first: automl_tl.TrainResult) -> None:
    fewer = Path(shutil.copytree(more, tmp_path / "fewer"))
    shutil.rmtree(fewer / "leaf")
    with pytest.raises(OptionError, match="holds no training pictures of 'leaf', which the bundle knows, and what is "):
        train(fewer, tmp_path / "on", from_bundle=first.bundle)
    assert not (tmp_path / "on").exists()


def test_other_weights_on_this_machine_are_refused(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: automl_tl.TrainResult
) -> None:
    install(monkeypatch, tiny=TinyBackbone(seed=1))
    with pytest.raises(OptionError, match="stage 1 of tiny, which did not learn, differs between the bundle"):
        train(old, tmp_path / "on", from_bundle=first.bundle)


@pytest.mark.parametrize("given", [{"backbones": ("tiny",)}, {"input_size": 64}, {"mean": (0.1, 0.2, 0.3)}])
def test_what_the_bundle_has_decided_is_not_asked(old: Path, tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="means nothing with --from, which keeps the backbone and its input"):
        train(old, tmp_path / "on", from_bundle=tmp_path, **given)


def test_a_bundle_that_is_none_or_does_not_say_how_it_was_trained(old: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        train(old, tmp_path / "on", from_bundle=tmp_path / "nothing")
    silent = save_bundle(trained_model(old), tmp_path / "silent")
    with pytest.raises(OptionError, match="does not say how it was trained: give one that automl-tl search or train"):
        train(old, tmp_path / "on", from_bundle=silent)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cuts": (2, 3)}, "--cuts must be 3 with --from, as in the bundle, but is 2\\+3"),
        ({"pooling": "mean+std"}, "--pooling must be mean with --from"),
        ({"layers": "convolution"}, "--layers must be linear with --from"),
        ({"unfreeze": 1}, "--unfreeze must be at least 2 with --from, the stages of the bundle that have learned"),
    ],
)
def test_what_would_leave_no_place_for_what_was_learned(options: dict[str, Any], sentence: str) -> None:
    wanted = ConfigurationOptions(**options)
    changed = replace(
        TUNED, cuts=wanted.cuts or TUNED.cuts, pooling=wanted.pooling or TUNED.pooling,
        how=replace(
            TUNED.tuned, unfrozen=wanted.unfreeze or TUNED.tuned.unfrozen, layers=wanted.layers or TUNED.tuned.layers
        ),
    )  # fmt: skip
    with pytest.raises(OptionError, match=sentence):
        asked._check_carried(changed, TUNED)


def test_what_has_learned_is_not_frozen_again() -> None:
    nothing: Any = None
    with pytest.raises(OptionError, match="reads the pretrained stages, but those of the bundle have learned"):
        asked._start(nothing, nothing, ConfigurationOptions(strategy="feature_extractor"), TUNED)


def test_the_run_says_what_it_went_on_from(old: Path, tmp_path: Path, first: automl_tl.TrainResult) -> None:
    on = train(old, tmp_path / "on", from_bundle=first.bundle, epochs=1)
    written = json.loads((tmp_path / "on" / "result.json").read_text("utf-8"))
    assert written["from"]["classes_known"] == list(OLD)
    assert Configuration.from_dict(written["configuration"]) == on.configuration
