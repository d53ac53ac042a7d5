"""The model card: what is known, escaped; and the bundle around it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import CLASSES, member, register

from automl_tl.backbones.contract import WeightsInfo
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.card import escaped, model_card
from automl_tl.model.errors import BundleError
from automl_tl.model.member import Member
from automl_tl.model.model import Model

DETAILS = {
    "metrics": {
        "validation": {"accuracy": 0.8, "interval": [0.7, 0.9]},
        "test": {"n": 40, "accuracy": 0.75, "balanced_accuracy": 0.7, "macro_f1": 0.71, "log_loss": 0.9, "ece": 0.05},
    },
    "data": {"fingerprint": "ab12", "n_training": 60, "per_class": {"apple": 10, "leaf": 20, "sky": 30}},
    "configuration": {"members": [{"strategy": "fine_tuning"}]},
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def licensed(licence: str, **more: Any) -> Member:
    one = member(**more)
    return replace(one, network=replace(one.network, weights=WeightsInfo("a", licence=licence)))


def model(*members: Member, **more: Any) -> Model:
    return Model(members or (member(),), more.pop("classes", CLASSES), 1.0, "squash", **more)


def header(card: str) -> list[str]:
    _, lines, _ = card.split("---\n", 2)
    return lines.splitlines()


def test_what_was_held_out_from_one_training_is_said() -> None:
    details = {"metrics": {"validation": {"n": 16, "accuracy": 0.75}, "test": None}}
    card = model_card(model(details=details))
    assert "Accuracy 75.0% on 16 training pictures that it had not learned from, before it learned from all" in card
    assert "Not measured" not in card


def test_it_says_what_is_known() -> None:
    card = model_card(model(licensed("mit"), details=DETAILS))
    assert header(card)[:3] == ["library_name: automl-tl", "pipeline_tag: image-classification", "license: mit"]
    assert "| tiny | fine\\_tuning | stage 3 of 3 | mean | linear | 100% |" in card
    assert "60 training pictures in 3 classes" in card
    assert "| leaf | 20 |" in card
    assert "Expected accuracy 80.0% (90% interval 70.0% to 90.0%)" in card
    assert "Accuracy 75.0% (90% interval 62.4% to 84.4%) on 40 test pictures" in card  # Wilson's interval of 30 of 40
    assert "macro F1 0.710" in card
    assert "Backbone tiny of tiny-plugin 1\\.2, pretrained on tiny: mit" in card
    assert "learned from the test pictures" not in card


def test_it_says_where_the_test_pictures_were_learned_afterwards() -> None:
    details = {**DETAILS, "data": {**DETAILS["data"], "learned_from_test": True}}
    assert "learned from the test pictures as well" in model_card(model(details=details))


@pytest.mark.parametrize(
    "details", [{}, {"metrics": {"validation": 0.5, "test": None}, "data": 3, "configuration": {"members": "x"}}]
)
def test_it_says_what_is_not_known(details: dict[str, Any]) -> None:
    card = model_card(model(details=details))
    assert "Not measured." in card
    assert "An unknown number of training pictures in 3 classes" in card
    assert "Classes: apple, leaf, sky." in card
    assert "license: unknown" in header(card)


@pytest.mark.parametrize(
    ("licences", "told"),
    [(("MIT", "mit"), "mit"), (("mit", "apache-2.0"), "other"), (("mit", ""), "other"), (("a: [b]\n",), "other")],
)
def test_the_headers_licence(licences: tuple[str, ...], told: str) -> None:
    members = [licensed(licence, weight=1 / len(licences), seed=n) for n, licence in enumerate(licences)]
    assert f"license: {told}" in header(model_card(model(*members)))


HOSTILE = ("<img src=x onerror=alert(1)>", "a|b\n# c", "[x](http://evil.example)", "`code` *b* _i_", "\u202egnp", "---")


def test_names_from_outside_are_inert() -> None:
    details = {"data": {"n_training": 6, "per_class": dict.fromkeys(HOSTILE, 1), "fingerprint": "<script>"}}
    card = model_card(model(member(n_classes=len(HOSTILE)), classes=HOSTILE, details=details))
    rows = [line for line in card.splitlines() if line.endswith("| 1 |")]
    assert len(rows) == len(HOSTILE)  # no name ends its line or its cell
    assert not re.search(r"(?<!\\)[<`]", "\n".join(rows))
    assert "Fingerprint: \\<script\\>" in card
    assert "](http" not in card
    assert "\u202e" not in card
    assert "alert\\(1\\)" in card


@given(st.text(max_size=40))
def test_no_character_of_a_name_is_markup(name: str) -> None:
    text = escaped(name)
    assert len(text.splitlines()) <= 1
    assert all(character not in "<>|`*_[]&~" or _is_escaped(text, i) for i, character in enumerate(text))


def _is_escaped(text: str, i: int) -> bool:
    """Return whether an odd number of backslashes stands before a character."""
    return (i - len(text[:i].rstrip("\\"))) % 2 == 1


def test_a_bundle_has_the_card_and_needs_none(tmp_path: Path) -> None:
    saved = model(licensed("mit"), details=DETAILS)
    bundle = save_bundle(saved, tmp_path / "b")
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert card == model_card(saved)
    loaded = load_bundle(bundle, "cpu")
    assert model_card(loaded) == card  # the licence too comes back
    (bundle / "README.md").write_text("my own words")
    load_bundle(bundle, "cpu")
    save_bundle(saved, bundle)
    assert (bundle / "README.md").read_text(encoding="utf-8") == card
    (bundle / "README.md").unlink()
    load_bundle(bundle, "cpu")


def test_somebodys_own_readme_is_no_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(BundleError, match=r"README\.md"):
        save_bundle(model(), tmp_path)
    assert os.listdir(tmp_path) == ["README.md"]
