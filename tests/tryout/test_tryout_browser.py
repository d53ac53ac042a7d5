"""The page in a real browser: a photo is classified and explained, names do nothing, nothing else is asked for."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from automl_tl.model.model import Model
from automl_tl.tryout import server as module
from automl_tl.tryout.page import render
from automl_tl.tryout.server import TryServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--enable-logging=stderr", "--virtual-time-budget=30000",
)  # fmt: skip
PROBE = """
const seen = {};
const settled = async () => {
  do await new Promise(done => setTimeout(done, 20)); while (document.querySelector(".waiting"));
};
const size = image => [image.naturalWidth, image.naturalHeight].join();
const file = new File([Uint8Array.from(atob("%s"), one => one.charCodeAt(0))], "photo.png");
(async () => {
  take([file]); await settled();
  const names = () => [...document.querySelectorAll(".name")].map(one => one.textContent);
  seen.decision = found("decision").textContent;
  seen.names = names();
  seen.shares = [...document.querySelectorAll(".share")].map(one => parseFloat(one.textContent));
  seen.bars = [...document.querySelectorAll(".bar i")].map(one => one.getBoundingClientRect().width);
  seen.first = found("heat").src;
  document.querySelectorAll(".classes button")[1].click(); await settled();
  seen.second = found("heat").src;
  seen.why = found("why").textContent;
  seen.shown = found("heat").getBoundingClientRect().width;
  found("shown").click();
  seen.hidden = found("heat").getBoundingClientRect().width;
  seen.over = size(found("picture")) === size(found("heat"));
  take([new File(["no picture"], "x.png")]); await settled();
  seen.wrong = found("said").textContent;
  take([{size: 3e7}]);
  seen.large = found("said").textContent;
  seen.title = document.title;
  seen.wide = document.documentElement.scrollWidth > window.innerWidth;
  document.body.style.width = "360px";  // Chromium's windows are 500 pixels wide or more
  seen.too_wide_for_a_phone = document.body.scrollWidth > 360;
  seen.accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  seen.asked = performance.getEntriesByType("resource").map(one => one.name).filter(name => !name.startsWith("data:"));
  const answer = document.createElement("pre");
  answer.id = "seen"; answer.textContent = JSON.stringify(seen); document.body.append(answer);
})();
"""


def look(server: TryServer, photo: Path, folder: Path, *, width: int = 1200, dark: bool = False) -> dict[str, Any]:
    """Open the page with the probe at its end, and return what it saw."""
    probe = PROBE % base64.b64encode(photo.read_bytes()).decode("ascii")

    def probed(model: Model, most_bytes: int, nonce: str) -> str:
        script = f'<script nonce="{nonce}">{probe}</script></body>'
        return render(model, most_bytes, nonce).replace("</body>", script)

    command = [
        str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", server.address,
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "render", probed)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    noise = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "422" not in line]
    assert noise == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    return dict(json.loads(unescape(found.group(1))))


def test_a_dropped_photo_is_classified_and_explained(server: TryServer, pictures: Path, tmp_path: Path) -> None:
    seen = look(server, pictures / "sky" / "000.png", tmp_path)
    assert seen["decision"].startswith("sky, ")
    assert set(seen["names"]) == {"<script>document.title='owned'</script>", "'\\u202eleaf\\n'", "sky"}
    assert seen["title"] == "Try the model"
    assert seen["shares"] == sorted(seen["shares"], reverse=True)
    assert seen["bars"] == sorted(seen["bars"], reverse=True)
    assert seen["bars"][0] > 50
    assert seen["why"] == seen["names"][1]
    assert seen["first"].startswith("data:image/png;base64,")
    assert seen["second"] != seen["first"]
    assert seen["over"]
    assert seen["shown"] > 100 > seen["hidden"] == 0
    assert "not a picture" in seen["wrong"]
    assert "larger than 20 MB" in seen["large"]
    assert {name.removeprefix(server.address).partition("?")[0] for name in seen["asked"]} == {"/answer"}
    assert not seen["wide"]


def test_a_narrow_window_and_the_dark_are_enough(server: TryServer, pictures: Path, tmp_path: Path) -> None:
    light = look(server, pictures / "leaf" / "000.png", tmp_path, width=500)
    dark = look(server, pictures / "leaf" / "000.png", tmp_path, width=500, dark=True)
    assert not light["wide"]
    assert not light["too_wide_for_a_phone"]
    assert not dark["wide"]
    assert light["accent"] != dark["accent"]
