"""A plugin that fails while it is built, or hangs, or takes the interpreter down, is one sentence."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_plugins import GOOD, Install, installer, isolate_hub
from generated_pictures import write_pictures

from automl_tl.backbones import child, plugins
from automl_tl.backbones import preflight as preflight
from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import describe, get_backbone, load_plugins, local_backbones
from automl_tl.backbones.time_limit import VARIABLE, TimeUpError, preflight_seconds, time_limit
from automl_tl.cli import main
from automl_tl.errors import BackboneError, OptionError, WeightsError

BUILD = "\nclass Bad(Tiny):\n    def build(self, *, pretrained=True):\n        {}\nbackbone = Bad()\n"
STAGES = "\nclass Bad(Tiny):\n    def stages(self, module):\n        return [module, Into()]\nbackbone = Bad()\n"
INTO = "\nclass Into(nn.Module):\n    def forward(self, x):\n        return {}\n"

FAULTS = {
    # kind: (source, what the one sentence says); each is a plugin that loads well
    "raises": (GOOD + BUILD.format("raise RuntimeError('oh no')"), "could not be built: it raised RuntimeError: oh no"),
    "exits": (GOOD + BUILD.format("raise SystemExit(3)"), "could not be built: it raised SystemExit: 3"),
    "wrong shape": (GOOD + INTO.format("x.mean((2, 3))") + STAGES, "is (2, 8); add a tokens(output)"),
    "NaN": (GOOD + INTO.format("x * float('nan')") + STAGES, "returned NaN or infinite values"),
    "hangs": (GOOD + BUILD.format("import time; time.sleep(1000)"), "did not finish within 10 s, in build ("),
    "crashes": (
        GOOD + BUILD.format("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
        "crashed the interpreter (SIGSEGV), in build (",
    ),
    "ends the interpreter": (
        GOOD + BUILD.format("import os; os._exit(0)"),
        "ended the interpreter with exit code 0",
    ),
}


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(VARIABLE, "10")
    return isolate_hub(monkeypatch, tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    yield from installer(monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", ["exits", "hangs", "crashes", "ends the interpreter"])  # the others: see BUILDING
def test_a_preflight_says_whose_fault_it_is(kind: str, install: Install, tmp_path: Path) -> None:
    source, expected = FAULTS[kind]
    install("bad-one", source)
    with pytest.raises(BackboneError) as caught:
        preflight.try_out("tiny", get_backbone("tiny"), memory=tmp_path / "memory")
    assert str(caught.value).startswith("tiny (bad-one 1.2)")
    assert expected in str(caught.value)
    assert not list(tmp_path.glob("memory/*"))


def test_missing_weights_stay_a_weights_error(install: Install) -> None:
    install("bad-one", GOOD + BUILD.format("raise FileNotFoundError('pip install the weights')"))
    with pytest.raises(WeightsError, match=r"bad-one 1\.2.*pip install the weights"):
        preflight.try_out("tiny", get_backbone("tiny"))


def test_what_passed_is_remembered_until_something_changes(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install("good-one")
    calls = []

    def run(*args: object, **kwargs: object) -> child.Ending:
        calls.append(args)
        return child.Ending("done")

    monkeypatch.setattr(preflight, "run_in_child", run)
    backbone, memory = get_backbone("tiny"), tmp_path / "memory"
    for _ in range(2):
        preflight.try_out("tiny", backbone, memory=memory)
    assert len(calls) == 1
    preflight.try_out("tiny", configure("tiny", backbone, input_size=32), memory=memory)
    preflight.try_out("tiny", backbone, memory=memory, device="cuda")
    assert len(calls) == 3
    (folder / "fake_good_one.py").write_text(GOOD + "\n# edited\n")
    preflight.try_out("tiny", backbone, memory=memory)
    assert len(calls) == 4


def test_overrides_reach_the_preflight(install: Install, tmp_path: Path) -> None:
    file = f"__import__('pathlib').Path({str(tmp_path / 'w.pth')!r})"
    check = f"assert (weights, input_size) == ({file}, None), input_size"
    named = "weights=None, input_size=None"
    body = f"def build(self, *, pretrained=True, {named}):\n    {check}\n    return Tiny.build(self)\n"
    install("good-one", GOOD + f"\nclass Own(Tiny):\n  {body.replace(chr(10), chr(10) + '  ')}\nbackbone = Own()\n")
    (tmp_path / "w.pth").touch()
    own = configure("tiny", get_backbone("tiny"), weights=tmp_path / "w.pth", input_size=24, mean=(0.1, 0.2, 0.3))
    with pytest.raises(BackboneError, match="AssertionError"):  # input_size is given to a build that takes it
        preflight.try_out("tiny", own)
    preflight.try_out("tiny", configure("tiny", get_backbone("tiny"), weights=tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm:resnet18", "mine"])
def test_nothing_bundled_and_no_object_of_the_caller_is_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "run_in_child", lambda *args, **kwargs: pytest.fail("tried"))
    backbone: Backbone = get_backbone("efficientnet_lite0") if name == "mine" else get_backbone(name)
    preflight.try_out(name, backbone)


def test_zero_seconds_switch_it_off(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad-one", FAULTS["crashes"][0])
    monkeypatch.setenv(VARIABLE, "0")
    preflight.try_out("tiny", get_backbone("tiny"))


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(OptionError, match=f"{VARIABLE} must be a number of seconds"):
        preflight_seconds()


def _wait_for_ever() -> None:
    while True:
        try:
            time.sleep(100)
        except Exception:
            continue


def test_a_time_limit_ends_waiting_and_loops_even_where_everything_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.1")
    start = time.perf_counter()
    with pytest.raises(TimeUpError, match=r"within 0\.1 s"), time_limit():
        _wait_for_ever()
    assert time.perf_counter() - start < 5
    with time_limit():
        pass
    time.sleep(0.15)  # the alarm is off again


@pytest.mark.parametrize("where", ["import", "weights", "names"])
def test_hanging_where_it_only_describes_itself(where: str, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = "__import__('time').sleep(1000)"
    family = f"class F:\n api_version = 1\n def names(self): yield {wait}\n def get(self, n): ...\nbackbone = F()"
    weights = GOOD + f"\nTiny.weights = lambda self: {wait}\n"
    install("bad-one", {"import": wait, "weights": weights, "names": family}[where])
    install("good-one", name="fine")
    monkeypatch.setenv(VARIABLE, "2")
    rows = {row.name: row for row in describe()}
    assert "did not finish within 2 s" in str(rows["tiny"].problem)
    assert "bad-one 1.2" in str(rows["tiny"].problem)
    assert rows["fine"].problem is None


# All commands, side by side with a good plugin --------------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


LOADING = {
    "missing import": ("import no_such_module_anywhere", "ModuleNotFoundError"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "exits": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "wrong version": (GOOD.replace("api_version = 1", "api_version = 2"), "api_version must be 1, but is 2"),
    "missing member": (GOOD.replace("def stages", "def parts"), "lacks stages"),
}
BUILDING = {kind: FAULTS[kind] for kind in ("raises", "wrong shape", "NaN", "hangs", "crashes")}


def test_every_command_works_beside_every_broken_plugin(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install("good-one", name="fine", entry_points="[automl_tl.backbones]\nfine = fake_good_one:backbone\n")
    for number, (source, _) in enumerate(LOADING.values()):
        install(f"bad-load{number}", source, name=f"load{number}")
    for number, (source, _) in enumerate(BUILDING.values()):
        install(f"bad-build{number}", source, name=f"build{number}")
    install("bad-twice", name="fine")
    install("bad-name", name="not a name")
    monkeypatch.setenv(plugins.DISABLE, "automl-tl")  # so that only the good one is left to recommend
    pictures = write_pictures(tmp_path / "pictures", per_class=6)

    with caplog.at_level(logging.WARNING, logger="automl_tl"):
        listed = json.loads(run("backbones", "list", "--format", "json").stdout)["backbones"]
        assert caplog.records == []  # the list shows them itself
        assert run("inspect", pictures).exit_code == 0
        plugins._told.clear()
        result = run("recommend", pictures, "--format", "json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["strategy"]["backbone"] == "fine"

    broken = {row["distribution"]: row["problem"] for row in listed if row["problem"] and not row["disabled"]}
    warned = [record.getMessage() for record in caplog.records]
    expected = [text for _, text in LOADING.values()]
    for number, text in enumerate(expected):
        assert text in broken[f"bad-load{number}"]
        assert sum(f"bad-load{number} 1.2" in one for one in warned) == 1
    assert "taken by bad-twice 1.2" in broken["good-one"] or "taken by good-one 1.2" in broken["bad-twice"]
    assert "a name must match" in broken["bad-name"]
    notes = answer["notes"]
    for number, (_, text) in enumerate(BUILDING.values()):
        (note,) = [one for one in notes if f"bad-build{number} 1.2" in one]
        assert note.startswith(f"build{number} is left out: ")
        assert text in note


def test_strict_raises_for_a_fault_of_building_too(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("bad-one", FAULTS["NaN"][0])
    pictures = write_pictures(tmp_path / "pictures", per_class=6)
    monkeypatch.setenv(plugins.STRICT, "1")
    monkeypatch.setenv(plugins.DISABLE, "automl-tl")
    result = run("recommend", pictures)
    assert result.exit_code == 2
    assert "tiny (bad-one 1.2): stage 2 of 2 must return finite" in " ".join(result.stderr.split())


def test_one_that_cannot_say_where_its_weights_are_is_told_once(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("bad-one", GOOD + "\nTiny.weights = lambda self: 1 / 0\n")
    with caplog.at_level(logging.WARNING, logger="automl_tl"):
        for _ in range(2):
            assert "tiny" not in local_backbones()
    assert [record.getMessage() for record in caplog.records] == [
        "backbone 'tiny' of bad-one 1.2 cannot say where its weights are: it raised ZeroDivisionError: division by zero"
    ]
    assert load_plugins()["tiny"].error is None
