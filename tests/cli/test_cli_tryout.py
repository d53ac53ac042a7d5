"""`automl-tl try BUNDLE` as a program: it says its address, answers, and ends quietly."""

from __future__ import annotations

import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue
from threading import Event
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from tiny_models import register, trained_model

from automl_tl.cli import main
from automl_tl.model.bundle import save_bundle
from automl_tl.tryout.server import TryServer

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import pytest
from tiny_models import register
with pytest.MonkeyPatch.context() as patch:
    register(patch)
    from automl_tl.cli import main
    main(["try", {bundle!r}, "--port", "0", "--no-browser", "--device", "cpu"])
"""


@pytest.fixture
def bundle(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register(monkeypatch)
    return save_bundle(trained_model(pictures), tmp_path / "bundle")


def test_the_page_opens_at_the_address_and_ctrl_c_ends_quietly(bundle: Path) -> None:
    code = PROGRAM.format(tests=str(Path(__file__).parents[1]), bundle=str(bundle))
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        address = urlsplit(program.stdout.readline().strip())
        assert address.hostname == "127.0.0.1"
        connection = HTTPConnection(address.netloc, timeout=20)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 200
        assert b"Try the model: 3 classes, tiny" in response.read()
        program.send_signal(signal.SIGINT)
        rest, told = program.communicate(timeout=20)
    finally:
        program.kill()
    assert program.returncode == 0
    assert rest == ""
    assert told.strip().splitlines() == ["Open this address in a browser on this machine; Ctrl-C ends it."]


def test_the_browser_is_opened_unless_told_not_to(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs in the terminal, and returns only when it is left, keeps nobody from being served."""
    opened, served = Queue[str](), Event()

    def serve(self: TryServer) -> None:
        served.set()
        raise KeyboardInterrupt

    def browse(address: str) -> None:
        assert served.wait(60)
        opened.put(address)

    monkeypatch.setattr("webbrowser.open", browse)
    monkeypatch.setattr(TryServer, "serve_forever", serve)
    result = CliRunner().invoke(main, ["try", str(bundle), "--port", "0"])
    assert result.exit_code == 0
    assert opened.get(timeout=60) == result.stdout.strip()
    assert CliRunner().invoke(main, ["try", str(bundle), "--port", "0", "--no-browser"]).exit_code == 0
    assert opened.empty()


def test_what_is_no_bundle_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["try", str(tmp_path)])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
