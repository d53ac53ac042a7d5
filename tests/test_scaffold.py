"""`backbones new` writes a plugin that works at once; the tutorial's commands do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generated_pictures import write_pictures

from automl_tl.backbones.checks.portability import exports_to_onnx
from automl_tl.backbones.conformance import CHECKS, check_backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.scaffold import write_scaffold
from automl_tl.backbones.validation import backbone_fault
from automl_tl.cli import main

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "plugin-tutorial.md"
SMALLEST = ROOT / "docs" / "smallest-plugin"
QUICK_CHECKS = tuple(check for check in CHECKS if check is not exports_to_onnx)

FILES = {
    ".github/workflows/test.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/automl_tl_my_backbone/__init__.py",
    "src/automl_tl_my_backbone/backbone.py",
    "tests/test_conformance.py",
}

STEPS = [
    "automl-tl backbones new",
    "pip install --no-build-isolation",
    "automl-tl backbones check",
    "automl-tl backbones list",
    "automl-tl recommend FOLDER",
    "pytest my_backbone",
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def new(*names: str) -> Result:
    return CliRunner().invoke(main, ["backbones", "new", *names])


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# What is written -------------------------------------------------------------------------------------------------


def test_it_writes_a_complete_distribution_and_numbered_steps(tmp_path: Path) -> None:
    result = new("my_backbone")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "my_backbone"
    assert files_below(folder) == FILES
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "automl-tl-my-backbone"
    assert project["entry-points"]["automl_tl.backbones"] == {"my_backbone": "automl_tl_my_backbone:backbone"}
    steps = re.findall(r"^(\d)\. (\S[^:]*):", result.stdout, re.MULTILINE)
    assert [number for number, _ in steps] == ["1", "2", "3", "4", "5", "6"]
    assert "my_backbone/src/automl_tl_my_backbone/backbone.py" in result.stdout.replace("\\", "/")


def test_no_placeholder_is_left_and_the_code_is_clean(tmp_path: Path) -> None:
    made = write_scaffold("my_backbone", tmp_path)
    assert not [path for path in made.files if "$" in path.read_text()]
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.is_file():
        subprocess.run([ruff, "check", "--select", "E,F,I,UP,B", "--line-length", "120", made.folder], check=True)


@pytest.mark.parametrize("name", ["resnet.v2", "X", "2nd-try", "automl-tl-vessels"])
def test_odd_names_that_are_allowed(name: str, tmp_path: Path) -> None:
    made = write_scaffold(name, tmp_path)
    points = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {"automl_tl.backbones": {name: f"{made.module}:backbone"}}
    assert made.module.isidentifier()
    assert made.distribution.count("automl-tl") == 1
    namespace: dict = {}
    exec(compile(made.backbone_file.read_text(), str(made.backbone_file), "exec"), namespace)
    assert backbone_fault(namespace["backbone"]) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b", "a name must match"),
        ("../up", "a name must match"),
        ("ä", "a name must match"),
        ("", "a name must match"),
        ("end-", "must end in a letter or digit"),
        ("x" * 61, "at most 60 characters"),
        ("timm", "the name 'timm' is taken by automl-tl"),
        ("efficientnet_lite0", "is taken by automl-tl"),
        ("efficientnet-lite", "would make a module automl_tl_efficientnet_lite, which is installed already"),
    ],
)
def test_a_bad_name_is_refused(name: str, expected: str, tmp_path: Path) -> None:
    result = new(name)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_exists_is_not_touched(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir() if kind == "folder" else place.touch()
    result = new("mine")
    assert result.exit_code == 2
    assert result.stderr == "Error: mine exists already; choose another name, or remove it first\n"
    assert place.is_file() if kind == "file" else list(place.iterdir()) == []


# Installed -------------------------------------------------------------------------------------------------------


def python(*arguments: object, path: Path | None = None, cwd: Path | None = None) -> str:
    """Run the test's own Python with one more folder of packages; return what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def pip_install(source: Path, target: Path) -> None:
    """Install a distribution into a folder, offline."""
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    python("-m", "pip", "install", "--quiet", *offline, "--target", target, source)


def test_it_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    made = write_scaffold("my_backbone", tmp_path)
    text = made.backbone_file.read_text()
    made.backbone_file.write_text(text.replace("input_size = 224", "input_size = 64"))  # for speed; slow tests use 224
    pip_install(made.folder, tmp_path / "site")
    output = python("-m", "pytest", "-q", "-p", "no:cacheprovider", made.folder, path=tmp_path / "site")
    assert re.search(r"\b1[89] passed, [12] skipped", output), output  # ONNX where it is installed


# The smallest plugin ---------------------------------------------------------------------------------------------


def test_the_smallest_plugin_has_at_most_twenty_lines_and_imports_no_automl_tl() -> None:
    texts = [path.read_text() for path in sorted(SMALLEST.iterdir()) if path.is_file()]
    assert len(texts) == 2
    assert sum(len(text.splitlines()) for text in texts) <= 20
    assert not re.search(r"import.*automl_tl", "".join(texts))
    shown = TUTORIAL.read_text()
    assert all(text.strip() in shown for text in texts)


def test_the_smallest_plugin_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SMALLEST, tmp_path / "smallest")
    pip_install(tmp_path / "smallest", tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    small = configure("smallest", get_backbone("smallest"), input_size=64)
    report = check_backbone(small, name="smallest", checks=QUICK_CHECKS)
    assert report.backbone == "smallest (smallest-plugin 0.1.0)"
    assert [one.sentence for one in report.failed] == []
    assert [one.name for one in report.results if one.status == "skipped"] == ["classifier_fits_its_labels"]
    del sys.modules["smallest_plugin"]


# The tutorial ----------------------------------------------------------------------------------------------------


def commands() -> list[str]:
    """Return the tutorial's commands: the lines of its code blocks that name no language, in order."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def test_the_tutorial_has_these_commands() -> None:
    assert [" ".join(command.split()[:3]) for command in commands()] == STEPS


def fresh_environment(folder: Path) -> Path:
    """Make a virtual environment that sees this one's packages; return its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    packages = next(folder.rglob("site-packages"))
    here = sysconfig.get_path("purelib")
    (packages / "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for name, module in (("automl-tl", "automl_tl"), ("pip", "pip"), ("pytest", "pytest")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{programs / "python"}" -m {module} "$@"\n')
        program.chmod(0o755)
    return programs


@pytest.mark.skipif(os.name == "nt", reason="the commands are run by a POSIX shell")
@pytest.mark.slow
def test_the_tutorial_from_scaffold_to_recommend(tmp_path: Path) -> None:
    programs = fresh_environment(tmp_path / "venv")
    write_pictures(tmp_path / "FOLDER", per_class=8)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    said: dict[str, str] = {}
    for command in commands():
        result = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        said[" ".join(command.split()[:3])] = result.stdout
    assert list(said) == STEPS
    assert " 0 failed" in said["automl-tl backbones check"]
    assert "automl-tl-my-backbone 0.1.0" in said["automl-tl backbones list"]
    assert "my_backbone" in said["automl-tl recommend FOLDER"]
