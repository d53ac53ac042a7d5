"""Pages in a real browser: nothing fails, nothing is fetched, tables sort and search, and a phone's width is enough."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
PROBE = """<script>
const title = [...document.querySelectorAll("h2")].find(one => one.textContent === "Leaderboard");
const grid = title && title.parentElement.querySelector(".grid");
const column = () => [...grid.querySelectorAll("tbody tr")].map(row => row.cells[0].textContent);
const seen = {before: [], up: [], down: [], found: 0};
if (grid) {
  seen.before = column();
  const head = grid.querySelector("th button"), field = grid.querySelector("input");
  head.click(); seen.up = column(); head.click(); seen.down = column();
  field.value = "trial tiny"; field.dispatchEvent(new Event("input"));
  seen.found = [...grid.querySelectorAll("tbody tr")].filter(row => !row.hidden).length;
}
seen.title = document.title;
seen.wide = document.documentElement.scrollWidth > window.innerWidth;
document.body.style.width = "360px";  // Chromium's windows are 500 pixels wide or more
seen.too_wide_for_a_phone = document.body.scrollWidth > 360;
document.body.style.width = "";
seen.fetched = performance.getEntriesByType("resource").map(one => one.name).filter(name => !name.startsWith("data:"));
seen.named = [...document.querySelectorAll(".chart use title")].length;
seen.broken = [...document.images].filter(one => !one.complete || !one.naturalWidth).length;
seen.flat = [...document.querySelectorAll(".chart svg")].filter(one => one.getBoundingClientRect().height < 40).length;
seen.accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
const answer = document.createElement("pre");
answer.id = "seen"; answer.textContent = JSON.stringify(seen); document.body.append(answer);
</script>"""


def look(page: Path, folder: Path, *, width: int = 1200, dark: bool = False) -> dict[str, Any]:
    """Open a copy of a page with the probe at its end, and return what it saw."""
    probed = folder / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    command = [
        str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", probed.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    return dict(json.loads(unescape(found.group(1))))


@pytest.mark.parametrize("command", ["inspect", "labels", "recommend", "search", "train", "evaluate"])
def test_a_browser_shows_it_and_fetches_nothing(pages: Mapping[str, Path], tmp_path: Path, command: str) -> None:
    seen = look(pages[command], tmp_path)
    assert seen["fetched"] == []
    assert seen["broken"] == 0
    assert seen["flat"] == 0
    assert not seen["wide"]
    assert "owned" not in seen["title"]


def test_the_leaderboard_sorts_and_searches(pages: Mapping[str, Path], tmp_path: Path) -> None:
    seen = look(pages["search"], tmp_path)
    numbers = [int(one) for one in seen["up"]]
    assert len(numbers) > 12
    assert numbers == sorted(numbers) != [int(one) for one in seen["before"]]
    assert [int(one) for one in seen["down"]] == numbers[::-1]
    assert 0 < seen["found"] < len(numbers)  # the rows of the sweep are hidden
    assert seen["named"] > 20  # dots that a pointer is told of


@pytest.mark.parametrize("command", ["labels", "recommend", "search", "evaluate"])
def test_a_narrow_window_and_the_dark_are_enough(pages: Mapping[str, Path], tmp_path: Path, command: str) -> None:
    light = look(pages[command], tmp_path, width=500)
    dark = look(pages[command], tmp_path, width=500, dark=True)
    assert not light["wide"]
    assert not light["too_wide_for_a_phone"]
    assert not dark["wide"]
    assert light["accent"] != dark["accent"]
