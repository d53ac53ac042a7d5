"""Every kind of broken plugin is reported once, by distribution and version, and harms nothing else."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import GOOD, Install, installer, isolate_hub

from automl_tl.backbones import plugins
from automl_tl.backbones.contract import WeightsInfo
from automl_tl.backbones.registry import describe, get_backbone, load_plugins, local_backbones, weights_info
from automl_tl.errors import BackboneError

BUNDLED = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]

BROKEN = {
    "missing import": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "exits": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "generator exit": ("raise GeneratorExit('odd')", "GeneratorExit: odd"),
    "raises": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "no such attribute": ("x = 1", "AttributeError"),
    "a class": (GOOD.replace("Tiny()", "Tiny"), "names the class Tiny; name an instance"),
    "other version": (GOOD.replace("api_version = 1", "api_version = 2"), "api_version must be 1, but is 2"),
    "version as text": (GOOD.replace("api_version = 1", "api_version = '1'"), "must be 1, but is '1'"),
    "no version": (GOOD.replace("api_version = 1", ""), "lacks api_version"),
    "missing member": (GOOD.replace("def stages", "def parts"), "lacks stages"),
    "build no method": (GOOD + "\nTiny.build = 3", "build must be a method, but is 3"),
    "tokens no method": (GOOD + "\nTiny.tokens = 3", "tokens must be a method, but is 3"),
    "size as float": (GOOD.replace("= 16", "= 16.0"), "from 8 to 4096, but is 16.0"),
    "size zero": (GOOD.replace("= 16", "= 0"), "from 8 to 4096, but is 0"),
    "mean of bytes": (
        GOOD.replace("mean = (0.5, 0.5, 0.5)", "mean = (123.7, 116.8, 103.9)"),
        "but is (123.7, 116.8, 103.9); divide it by 255",
    ),
    "two means": (GOOD.replace("mean = (0.5, 0.5, 0.5)", "mean = (0.5, 0.5)"), "three numbers"),
    "std zero": (GOOD.replace("std = (0.5, 0.5, 0.5)", "std = (0.5, 0, 0.5)"), "std must be positive"),
    "std NaN": (GOOD.replace("std = (0.5, 0.5, 0.5)", "std = (float('nan'),) * 3"), "std must be three"),
    "pretrained on": (GOOD.replace('pretrained_on = "none"', "pretrained_on = None"), "but is None"),
    "interpolation": (GOOD + "\nTiny.interpolation = 'lanczos'", "but is 'lanczos'"),
    "property raises": (
        GOOD + "\nTiny.mean = property(lambda self: 1 / 0)",
        "reading its members raised ZeroDivisionError",
    ),
    "neither": ("backbone = object()", "lacks api_version, input_size"),
    "half a family": (
        "class F:\n api_version = 1\n names = 3\n def get(self, n): ...\nbackbone = F()",
        "names must be a method",
    ),
    "family of other version": (
        "class F:\n api_version = 9\n def names(self): ...\n def get(self, n): ...\nbackbone = F()",
        "api_version must be 1, but is 9",
    ),
}


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    yield from installer(monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_one_sentence_and_the_others_work(kind: str, install: Install) -> None:
    source, expected = BROKEN[kind]
    install("bad-one", source)
    install("good-one", name="fine")
    found = load_plugins()
    error = found["tiny"].error
    assert error is not None
    assert "bad-one 1.2" in error
    assert expected in error
    assert "\n" not in error
    assert get_backbone("fine").input_size == 16
    assert get_backbone("efficientnet_lite0").input_size == 224
    with pytest.raises(BackboneError, match=r"bad-one 1\.2"):
        get_backbone("tiny")


def test_ctrl_c_at_import_is_not_swallowed(install: Install) -> None:
    install("bad-one", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


@pytest.mark.parametrize("name", ["a b", "a:b", "ä", "-a", "a/b"])
def test_names_that_are_not_allowed(name: str, install: Install) -> None:
    install("bad-one", entry_points=f"[automl_tl.backbones]\n{name} = fake_bad_one:backbone\n")
    broken = [one for one in load_plugins().values() if one.distribution == "bad-one"]
    assert len(broken) == 1
    assert broken[0].error is not None
    assert "bad-one 1.2" in broken[0].error


@pytest.mark.parametrize("name", ["fast", "balanced", "best", "all"])
def test_a_preset_s_name_cannot_be_taken(name: str, install: Install) -> None:
    install("bad-one", name=name)
    fault = f"the name {name!r} is reserved for `--backbone {name}`; choose another"
    assert load_plugins()[name].error == f"plugin {name!r} of bad-one 1.2 is broken: {fault}"
    assert any(row.name == name and row.problem for row in describe())
    assert get_backbone("efficientnet_lite0").input_size == 224


@pytest.mark.parametrize("text", ["[automl_tl.backbones]\nnonsense\n", "[automl_tl.backbones]\nx = !\n"])
def test_a_damaged_list_of_entry_points_harms_only_itself(text: str, install: Install) -> None:
    install("bad-one", entry_points=text)
    found = load_plugins()
    assert set(BUNDLED) < set(found)
    assert [one.error is not None for one in found.values() if one.distribution == "bad-one"] == [True]


def test_told_once(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("bad-one", "raise ValueError")
    with caplog.at_level(logging.WARNING, logger="automl_tl.backbones"):
        load_plugins()
        describe()
        plugins._load_all.cache_clear()
        load_plugins()
    assert len(caplog.records) == 1


def test_what_a_plugin_prints_at_import_is_not_standard_output(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("loud", "print('hello')\n" + GOOD)
    load_plugins()
    assert capsys.readouterr().out == ""


def test_the_first_of_two_names_wins_and_the_other_is_reported(install: Install) -> None:
    install("b-second", GOOD.replace("16", "32"))
    install("a-first")
    assert get_backbone("tiny").input_size == 16
    loser = load_plugins()["tiny [b-second]"]
    assert loser.error is not None
    assert "taken by a-first 1.2" in loser.error
    assert any(row.name == "tiny [b-second]" and row.problem for row in describe())


def test_a_bundled_name_cannot_be_taken(install: Install) -> None:
    install("aaa", name="efficientnet_lite0")
    assert get_backbone("efficientnet_lite0").input_size == 224
    assert "efficientnet_lite0 [aaa]" in load_plugins()


def test_switching_off_the_winner_gives_the_name_to_the_other(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("a-first")
    install("b-second", GOOD.replace("16", "32"))
    monkeypatch.setenv(plugins.DISABLE, "A_first")
    assert get_backbone("tiny").input_size == 32
    assert load_plugins()["tiny [a-first]"].disabled


def test_one_target_from_two_distributions_is_one_plugin(install: Install) -> None:
    install("a-first", module="fake_same")
    install("b-second", module="fake_same")
    found = [one for one in load_plugins().values() if one.target == "fake_same:backbone"]
    assert [(one.name, one.distribution, one.error) for one in found] == [("tiny", "a-first", None)]


def test_a_plugin_can_be_switched_off(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad-one", "raise RuntimeError('must not be imported')")
    monkeypatch.setenv(plugins.DISABLE, "timm, tiny")
    found = load_plugins()
    assert found["tiny"].disabled
    assert "switched off by AUTOML_TL_DISABLE_PLUGINS" in str(found["tiny"].error)
    with pytest.raises(BackboneError, match="switched off"):
        get_backbone("timm:resnet50")
    monkeypatch.delenv(plugins.DISABLE)
    assert get_backbone("timm:resnet50").input_size == 224


def test_strict(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad-one", "raise RuntimeError('oops')")
    monkeypatch.setenv(plugins.STRICT, "1")
    with pytest.raises(BackboneError, match=r"bad-one 1\.2 .* oops"):
        load_plugins()
    monkeypatch.setenv(plugins.DISABLE, "bad-one")
    load_plugins()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", "did you mean timm:resnet50"),
        ("efficientnet_lite", "did you mean efficientnet_lite"),
        ("timm:resnet5", "timm:resnet50"),
        ("timm:resnet50.nonsense", "no weights 'nonsense' for resnet50"),
        ("zzzz", "`automl-tl backbones list`"),
        ("timm", "is a family"),
        ("timm:", "is a family"),
        ("", "there is no backbone ''"),
        ("efficientnet_lite0:x", "not a family"),
        ("fast", "'fast' is a preset of several backbones; name one of them here, such as timm:"),
    ],
)
def test_an_unknown_name_says_what_could_be_meant(name: str, expected: str) -> None:
    with pytest.raises(BackboneError) as caught:
        get_backbone(name)
    assert expected in str(caught.value)


def test_a_family_that_fails(install: Install) -> None:
    source = "class F:\n api_version = 1\n def names(self): raise OSError('disk')\n def get(self, n): return 3\n"
    install("fam", source + "backbone = F()")
    with pytest.raises(BackboneError, match="lacks api_version"):
        get_backbone("tiny:x")
    rows = [row for row in describe() if row.distribution == "fam"]
    assert len(rows) == 1
    assert "OSError: disk" in str(rows[0].problem)


def test_weights_are_the_distribution_unless_it_says_more(install: Install) -> None:
    install("good-one")
    assert weights_info("tiny", get_backbone("tiny")).identity == "good-one==1.2/tiny"


def test_what_is_not_known_of_weights_may_be_none(install: Install) -> None:
    given = "{'identity': 'a', 'address': None, 'licence': None, 'n_bytes': None}"
    install("good-one", GOOD + f"\ndef weights(self):\n    return {given}\nTiny.weights = weights")
    found = weights_info("tiny", get_backbone("tiny"))
    assert (found.address, found.licence, found.n_bytes) == ("", "", None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return {'identity': ''}", "must be a text that is not empty"),
        ("return {'identity': 'a', 'license': 'mit'}", "'license'"),
        ("return {'identity': 'a', 'n_bytes': 'big'}", "'big'"),
        (
            "return {'identity': 'a', 'address': __import__('pathlib').Path('x')}",
            "the address of its weights must",
        ),
        ("return {'identity': 'a', 'licence': 3}", "licence of its weights must be a text or None, but is 3"),
        ("return {'identity': 'a', 'local': 'no'}", "local of its weights must be True or False, but is 'no'"),
        ("return 'a'", "returned str"),
        ("raise OSError('gone')", "OSError: gone"),
    ],
)
def test_wrong_weights_are_named(body: str, expected: str, install: Install) -> None:
    install("good-one", GOOD + f"\ndef weights(self):\n    {body}\nTiny.weights = weights")
    with pytest.raises(BackboneError) as caught:
        weights_info("tiny", get_backbone("tiny"))
    assert expected in str(caught.value)
    assert "good-one 1.2" in str(caught.value)
    assert any(row.problem and expected in row.problem for row in describe())


def test_weights_as_a_mapping(install: Install) -> None:
    source = GOOD + "\nTiny.weights = lambda self: {'identity': 'a', 'local': False, 'licence': 'mit'}"
    install("good-one", source)
    assert weights_info("tiny", get_backbone("tiny")) == WeightsInfo("a", None, False, "", "mit")
    assert "tiny" not in local_backbones()


def test_the_bundled_ones_are_local_and_listed() -> None:
    assert [name for name in local_backbones() if not name.startswith("timm:")] == BUNDLED
    rows = {row.name: row for row in describe()}
    assert all(rows[name].weights.licence == "apache-2.0" for name in BUNDLED)  # type: ignore[union-attr]
    resnet = rows["timm:resnet50"]
    assert resnet.weights is not None
    assert (resnet.weights.local, resnet.weights.n_bytes) == (False, 102_240_000)
    assert resnet.weights.address == "hf-hub: timm/resnet50.a1_in1k"


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from automl_tl.backbones import registry, overrides, prior\n"
        "registry.describe(); registry.local_backbones(); prior.static_prior()\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
