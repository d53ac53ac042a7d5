"""Every link of the texts that leads into the repository leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted(path for where in ("", "docs/", "plugins/*/", "tests/fixtures/") for path in ROOT.glob(f"{where}*.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def dead_links(text: Path) -> list[str]:
    """Return the links of a text, into the repository, whose file or heading is not there."""
    links = _LINK.findall(_FENCED.sub("", text.read_text(encoding="utf-8")))
    return [link for link in links if "://" not in link and not _leads_somewhere(text, link)]


def _leads_somewhere(text: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (text.parent / name).resolve() if name else text
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(text: Path) -> set[str]:
    """Return the anchors of a text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", text.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_texts() -> None:
    assert {path.name for path in TEXTS} >= {"README.md", "CONTRIBUTING.md", "search.md", "plugin-tutorial.md"}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(text: Path) -> None:
    assert dead_links(text) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    text = tmp_path / "text.md"
    text.write_text("# The map, *here*\n[a](#the-map-here) [b](text.md) [c](#map) [d](gone.md) [e](https://x.org/y)\n")
    assert dead_links(text) == ["#map", "gone.md"]
