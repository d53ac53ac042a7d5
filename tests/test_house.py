"""The papers of the house agree with the house."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT_SUFFIXES = {".py", ".md", ".toml", ".cfg", ".txt", ".csv", ".json", ".yml", ".yaml", ".sh", ""}
GROUP = "automl_tl.backbones"
SEPARATE = {"faces"}
"""Plugins that are no part of the main wheel; their READMEs say why."""

# Written in pieces, so that this file passes its own test.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/" + r"(work|root|home|Users|mnt|tmp/bash)" + "/",
            r"[A-Za-z]:\\\\?" + "Users",
            "py" + r"pi\.(org|python)",
            "pythonhosted" + r"\.org",
            r"--(extra-)?index" + "-url",
            r"https?://[\w.-]*(artifactory|nexus|proxy|mirror)" + r"[\w.-]*",
            r"https?://(localhost|\d+\.\d+\.\d+\.\d+)",
        ]
    )
)


def kept_files() -> list[Path]:
    """Return the files that git keeps or would keep; without git, every file outside .venv."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def public_modules() -> Iterator[Path]:
    for folder in (ROOT / "automl_tl", *ROOT.glob("plugins/*/src")):
        yield from (path for path in folder.rglob("*.py") if not path.name.startswith("_"))


def bundled_plugins() -> list[Path]:
    return [path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml")) if path.parent.name not in SEPARATE]


def test_no_registry_hosts_or_machine_paths() -> None:
    texts = [path for path in kept_files() if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE"]
    assert len(texts) > 40
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "see /ho" + "me/me/x",
        "'/wo" + "rk/main'",
        "https://pyp" + "i.org/simple",
        "--index" + "-url x",
        "http://127.0" + ".0.1:80",
    ],
)
def test_the_search_sees_what_it_forbids(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_no_lock_file_or_big_file_is_kept() -> None:
    assert not [path.name for path in kept_files() if path.name in {"uv.lock", "poetry.lock"}]
    assert not [str(path) for path in kept_files() if path.stat().st_size > 1_000_000]


def test_the_demo_is_small() -> None:
    photos = list((ROOT / "datasets_meta" / "demo").glob("*/*.jpg"))
    assert 60 <= len(photos) <= 80
    assert sum(path.stat().st_size for path in photos) < 1_800_000


def test_every_public_module_has_a_docstring() -> None:
    missing = [path for path in public_modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.relative_to(ROOT)) for path in missing] == []


def test_no_init_holds_code() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)  # a docstring is an Expr, __all__ an Assign
    for path in (ROOT / "automl_tl").glob("*/__init__.py"):
        nodes = ast.parse(path.read_text()).body
        assert all(isinstance(node, allowed) for node in nodes), path


def test_the_changelog_has_an_unreleased_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section
    assert re.search(r"^- \S", section[1], re.MULTILINE)


def test_the_map_names_every_folder() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    packages = [path.parent.name for path in (ROOT / "automl_tl").glob("*/__init__.py")]
    tops = [name for name in ("plugins", "datasets_meta", "benchmarks", "tests", "docs") if (ROOT / name).is_dir()]
    assert packages
    assert [name for name in packages + tops if f"{name}/" not in text] == []


def test_the_map_names_no_folder_or_file_that_is_not_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:automl_tl|plugins|datasets_meta|benchmarks|tests|\.ci)/[\w./-]*)`", text))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_bundled_plugins_entry_points_are_those_of_the_main_distribution() -> None:
    def entry_points(file: Path) -> dict[str, str]:
        return tomllib.loads(file.read_text(encoding="utf-8"))["project"]["entry-points"][GROUP]

    own = [entry_points(plugin / "pyproject.toml") for plugin in bundled_plugins()]
    merged = {name: target for points in own for name, target in points.items()}
    assert len(merged) == sum(map(len, own))  # no name twice
    assert merged == entry_points(ROOT / "pyproject.toml")


def test_the_main_wheel_holds_every_bundled_plugin() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    sources = {str((plugin / "src").relative_to(ROOT)) for plugin in bundled_plugins()}
    assert sources
    assert sources == set(build["dev-mode-dirs"]) - {"."}
    held = {str(Path(name).parent) for name in build["targets"]["wheel"]["packages"]} - {"."}
    assert held == sources


def test_a_separate_plugin_says_why_it_is_one() -> None:
    for name in SEPARATE:
        assert "**not** part of automl-tl's main wheel" in (ROOT / "plugins" / name / "README.md").read_text()


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
