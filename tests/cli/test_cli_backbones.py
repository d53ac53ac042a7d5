"""The list of backbones: where weights are, families folded, broken plugins with their reason."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner, Result

from automl_tl.backbones import presets, registry
from automl_tl.backbones.contract import WeightsInfo
from automl_tl.backbones.registry import BackboneRow
from automl_tl.cli import main
from automl_tl.cli.backbones import matches


def row(name: str, *, local: bool = True, n_bytes: int | None = 19_000_000, licence: str = "MIT") -> BackboneRow:
    weights = WeightsInfo(f"sha256:{name}", n_bytes, local, f"hub/{name}", licence)
    return BackboneRow(name, "some-plugin", "1.2", "some:thing", "imagenet-1k", 224, weights)


ROWS = [
    row("lite0"),
    row("faces", n_bytes=None, licence=""),
    row("zoo:resnet18"),
    row("zoo:resnet50", local=False, n_bytes=98_000_000),
    row("zoo:vit[tiny]", local=False, n_bytes=None),
    BackboneRow("bad", "bad-plugin", "0.3", "bad:thing", problem="plugin 'bad' of bad-plugin 0.3 is broken: oh"),
]


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "describe", lambda: list(ROWS))


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["backbones", "list", *arguments])
    assert result.exit_code == 0, result.output
    return result


def lines_with(output: str, name: str) -> list[str]:
    return [" ".join(line.split()) for line in output.splitlines() if name in line]


def test_a_line_says_where_the_weights_are() -> None:
    output = run().stdout
    assert lines_with(output, "lite0") == ["lite0 224 imagenet-1k here, 19.0 MB MIT some-plugin 1.2"]
    assert lines_with(output, "faces") == ["faces 224 imagenet-1k here unknown some-plugin 1.2"]


def test_a_family_is_one_line_but_for_what_is_here() -> None:
    output = run().stdout
    assert lines_with(output, "zoo:resnet18")
    assert not lines_with(output, "zoo:resnet50")
    assert "Family zoo (some-plugin 1.2): 3 names, weights of 1 on this machine" in output


def test_a_pattern_expands_a_family() -> None:
    output = run("zoo:res*").stdout
    assert lines_with(output, "zoo:resnet50") == ["zoo:resnet50 224 imagenet-1k not here, 98.0 MB MIT some-plugin 1.2"]
    assert not lines_with(output, "lite0")
    assert lines_with(run("VIT[").stdout, "zoo:vit[tiny]")


def test_a_broken_plugin_is_shown_with_its_reason() -> None:
    output = " ".join(run().stdout.split())
    assert "Cannot be used: bad: plugin 'bad' of bad-plugin 0.3 is broken: oh" in output


def test_verbose_says_from_where() -> None:
    output = run("--verbose", "zoo:*").stdout
    assert "zoo:resnet50: some:thing; weights sha256:zoo:resnet50 from hub/zoo:resnet50" in output


def test_nothing_matches() -> None:
    assert run("none").stdout == "No backbone's name has 'none' in it; automl-tl backbones list shows all families.\n"
    assert json.loads(run("none", "--format", "json").stdout)["backbones"] == []


def test_json_holds_every_row() -> None:
    result = run("--format", "json")
    value = json.loads(result.stdout)
    assert value["schema_version"] == 1
    assert [one["name"] for one in value["backbones"]] == [one.name for one in ROWS]
    assert value["backbones"][3]["weights"]["local"] is False
    assert value["backbones"][5]["problem"].endswith("oh")
    assert result.stderr == ""


def test_presets_come_last_with_what_they_would_fetch() -> None:
    output = run().stdout
    assert "Presets for --backbone; weights that are not here are fetched, after a notice:" in output
    line = next(" ".join(line.split()) for line in output.splitlines() if re.match(r"fast +cpu", line))
    fast = presets.members("fast", "cpu")
    assert line.startswith(f"fast cpu {sum(one.download_mb for one in fast):.0f} MB {fast[0].backbone}")
    assert "Presets" not in run("zoo:*").stdout
    assert not lines_with(run("best").stdout, "balanced")
    assert lines_with(run("best").stdout, "dinov2")


def test_json_holds_the_presets() -> None:
    found = json.loads(run("--format", "json").stdout)["presets"]
    assert len(found) == len(presets.all_members())
    assert {"preset", "device", "backbone", "top1", "download_mb", "licence", "source"} <= set(found[0])
    assert json.loads(run("zoo", "--format", "json").stdout)["presets"] == []


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("timm:resnet50", None, True),
        ("timm:resnet50", "resnet", True),
        ("timm:resnet50", "ResNet", True),
        ("timm:resnet50", "timm:res*", True),
        ("timm:resnet50", "res*", False),
        ("timm:resnet50", "timm:resnet??", True),
        ("a [b-c]", "[b-c]", True),
    ],
)
def test_matches(name: str, pattern: str | None, expected: bool) -> None:
    assert matches(name, pattern) is expected
