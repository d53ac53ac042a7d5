"""The site can be built without a warning, has every command, option and public name, and fetches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import automl_tl
from automl_tl.cli.app import COMMANDS, main
from automl_tl.cli.lazy import LazyCommand

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="MkDocs is not installed: pip install '.[docs]'"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def text(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_command_is_there_with_every_option(site: Path) -> None:
    page = text(site / "commands.html")
    assert [name for name in COMMANDS if f"automl-tl {name}" not in page] == []
    real = [one.load() for one in main.commands.values() if isinstance(one, LazyCommand)]
    flags = {flag for command in real for one in command.params if isinstance(one, click.Option) for flag in one.opts}
    assert len(flags) > 50
    assert [flag for flag in flags if flag not in page] == []


def test_every_public_name_is_there_with_its_options(site: Path) -> None:
    page = text(site / "python.html")
    assert [name for name in automl_tl.__all__ if not name.startswith("__") and name not in page] == []
    for option in (
        "try_training",
        "max_latency_ms",
        "head_lr",
        "random_state",
    ):  # they exist in the running program alone
        assert option in page
    assert " object at 0x" not in page


def test_links_between_texts_lead_to_pages(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    for name in ("search", "export", "explain", "plugin-tutorial", "faces", "contributing"):
        assert re.search(rf'<a href="{name}\.html', index), name
    assert 'src="report.png"' in index
    assert not re.search(r'href="[^"]*\.md', index)


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.glob("*.html"))
    assert len(pages) > 12
    fetched = re.compile(
        r'<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="https?:'
    )
    assert [page.name for page in pages if fetched.search(page.read_text(encoding="utf-8"))] == []
