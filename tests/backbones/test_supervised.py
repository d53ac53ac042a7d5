"""`backbones check`: a table, exit codes, and checks that hang or crash the interpreter fail alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_plugins import GOOD, Install, installer, isolate_hub

from automl_tl.backbones.checks import supervised
from automl_tl.backbones.checks.result import CheckResult, ConformanceReport
from automl_tl.backbones.checks.supervised import supervise
from automl_tl.backbones.child import Ending
from automl_tl.cli import main
from automl_tl.errors import BackboneError

N_CHECKS = 19
# The preflight has two pictures and the checks four; the fault is in one check only, which alone reads `labels`.
FALLING = GOOD + "\nTiny.classifier = lambda self, module: nn.Linear(8, 2)\nTiny.labels = property(lambda self: {})\n"


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    yield from installer(monkeypatch, tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["backbones", "check", *map(str, arguments)])


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("__import__('os').kill(__import__('os').getpid(), 11)", "it crashed the interpreter (SIGSEGV), in <lambda> ("),
        pytest.param(
            "__import__('time').sleep(1000)",
            "it did not finish within 15 s, in <lambda> (",
            marks=pytest.mark.slow,  # as a trial that hangs is among the quick tests
        ),
    ],
)
def test_a_check_that_takes_its_process_down_fails_alone(fault: str, expected: str, install: Install) -> None:
    install("bad-one", FALLING.format(fault))
    done: list[tuple[int, int]] = []
    report = supervise("tiny", {}, seconds=15, progress=lambda *state: done.append(state))
    assert report.backbone == "tiny (bad-one 1.2)"
    assert [one.name for one in report.failed] == ["classifier_fits_its_labels"]
    assert expected in report.failed[0].sentence
    assert report.count("passed") >= 13
    assert done[-1] == (N_CHECKS, N_CHECKS)


def test_a_process_that_ends_before_the_first_check(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = Ending("crash", "ended the interpreter with exit code 1")
    monkeypatch.setattr(supervised, "run_in_child", lambda *args, **kwargs: ending)
    with pytest.raises(BackboneError, match=r"tiny cannot be checked: .* ended the interpreter with exit code 1"):
        supervise("tiny", {})


def test_a_good_one_exits_with_0_and_a_table(install: Install) -> None:
    install("good-one")
    result = run("tiny", "--input-size", "24")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("tiny (good-one 1.2)\n")
    assert "24 pixels, mean (0.5, 0.5, 0.5)" in result.stdout
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    (line,) = (line for line in lines if line.startswith("rows_are_independent passed beside others "))
    gaps = re.findall(r"(?:others|alone) ([^,]+)", line)
    assert all(float(gap) < 1e-5 for gap in gaps)  # how convolutions round differs by machine
    assert lines[-1].startswith(f"{N_CHECKS} checks: ")
    assert "0 failed" in lines[-1]


def test_a_failed_check_exits_with_1_and_json_says_why(install: Install) -> None:
    install("bad-one", GOOD.replace("module[1]", "Noise()") + NOISE)
    result = run("tiny", "--format", "json")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    assert (value["schema_version"], value["passed"], len(value["checks"])) == (1, False, N_CHECKS)
    failed = {one["name"]: one for one in value["checks"] if one["status"] == "failed"}
    assert "deterministic_in_eval" in failed
    assert failed["deterministic_in_eval"]["advice"].startswith("let dropout, noise")


NOISE = "\nclass Noise(nn.Module):\n    def forward(self, x):\n        return x + torch.rand_like(x)\n"


def test_text_tells_the_failures_below_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = CheckResult("builds", "failed", "a network", "a [red]dict[/red]", "return a module", "tiny (x 1)")
    report = ConformanceReport("tiny (x 1)", (failed,))
    monkeypatch.setattr(supervised, "supervise", lambda *args, **kwargs: report)
    result = run("efficientnet_lite0", "--verbose")
    assert result.exit_code == 1
    sentence = "tiny (x 1): builds failed: expected a network, but found a [red]dict[/red]; return a module."
    assert sentence in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nope",), "there is no backbone 'nope'"),
        (("timm",), "is a family"),
        (("efficientnet_lite0", "--input-size", "3"), "from 8 to 4096"),
        (("efficientnet_lite0", "--weights", "efficientnet_lite0=none.pth"), "does not exist"),
        ((), "Missing argument"),
    ],
)
def test_bad_input_exits_with_2(arguments: tuple[str, ...], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_weights_of_another_backbone(tmp_path: Path) -> None:
    (tmp_path / "w.pth").touch()
    result = run("efficientnet_lite0", "--weights", f"efficientnet_lite1={tmp_path / 'w.pth'}")
    assert result.exit_code == 2
    assert "--weights names 'efficientnet_lite1', but the backbone is 'efficientnet_lite0'" in result.stderr


def test_a_broken_plugin_is_bad_input_with_its_reason(install: Install) -> None:
    install("bad-one", GOOD.replace("def stages", "def parts"))
    result = run("tiny")
    assert result.exit_code == 2
    assert "bad-one 1.2 is broken: it must have the members" in result.stderr


def test_after_a_build_that_takes_its_process_down_nothing_is_built_again(install: Install, tmp_path: Path) -> None:
    """Every further child would end in the same way, before its first check."""
    note = tmp_path / "built"
    source = f"open({str(note)!r}, 'a').write('x'); __import__('os').kill(__import__('os').getpid(), 11)"
    install(
        "bad-one",
        GOOD + f"\nclass Bad(Tiny):\n    def build(self, *, pretrained=True):\n        {source}\nbackbone = Bad()\n",
    )
    report = supervise("tiny", {}, seconds=30)
    assert [one.name for one in report.failed] == ["builds"]
    assert (report.count("passed"), report.count("skipped")) == (1, N_CHECKS - 2)
    assert note.read_text() == "x"
