"""The page's server: what it answers, whom it refuses, and that it writes nothing."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import serving
from tiny_models import member, trained_model
from token_backbone import TokenBackbone

from automl_tl.backbones.stages import build_network
from automl_tl.errors import OptionError
from automl_tl.model.model import Model
from automl_tl.tryout import server as module
from automl_tl.tryout.server import LOOPBACK, MOST_BYTES, TryServer


def asked(
    server: TryServer,
    method: str = "POST",
    path: str = "/answer",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> HTTPResponse:
    connection = HTTPConnection(LOOPBACK, server.server_port, timeout=20)
    connection.request(method, path, body, headers or {})
    return connection.getresponse()


def answered(server: TryServer, body: bytes, path: str = "/answer", status: int = 200) -> dict[str, Any]:
    response = asked(server, path=path, body=body)
    text = response.read()
    assert response.status == status, text
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    return dict(json.loads(text))


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


# --- answers ----------------------------------------------------------------------------------------


def test_a_picture_gets_its_classes_its_map_and_itself(server: TryServer, pictures: Path) -> None:
    file = pictures / "sky" / "000.png"
    found = answered(server, file.read_bytes())
    expected = server.model.probabilities([file])[0]
    assert [one["number"] for one in found["classes"]] == np.argsort(-expected).tolist()
    assert found["classes"][0] == {"number": 2, "label": "sky", "probability": pytest.approx(expected[2])}
    assert (found["explained"], found["unusual"], found["others"]) == (2, False, 0)
    with Image.open(file) as source:
        assert opened(found["picture"]).size == opened(found["heat"]).size == source.size
    assert opened(found["heat"]).mode == "RGBA"


def test_another_class_has_another_map(server: TryServer, pictures: Path) -> None:
    content = (pictures / "sky" / "000.png").read_bytes()
    first, other = answered(server, content), answered(server, content, "/answer?explain=0")
    assert other["explained"] == 0
    assert other["classes"] == first["classes"]
    assert other["heat"] != first["heat"]


def test_what_is_unlike_the_training_pictures_is_said_to_be(server: TryServer) -> None:
    out = io.BytesIO()
    stripes = (np.indices((48, 48)).sum(0) // 6 % 2 * 255).astype(np.uint8)
    Image.fromarray(stripes).convert("RGB").save(out, "PNG")
    assert answered(server, out.getvalue())["unusual"] is True


def test_a_model_that_cannot_be_explained_still_answers(pictures: Path) -> None:
    network = build_network("tokens", TokenBackbone(class_token=False, extra=1))
    with serving(Model((member(network),), ("a", "b", "c"), 1.0, "squash")) as other:
        found = answered(other, (pictures / "sky" / "000.png").read_bytes())
    assert len(found["classes"]) == 3
    assert found["heat"] == ""
    assert "17 tokens" in found["unexplained"]


def test_labels_are_written_out(server: TryServer, pictures: Path) -> None:
    found = answered(server, (pictures / "leaf" / "000.png").read_bytes())
    assert {one["label"] for one in found["classes"]} == {
        "<script>document.title='owned'</script>", "'\\u202eleaf\\n'", "sky",
    }  # fmt: skip


def test_many_at_once_get_their_own_answers(server: TryServer, pictures: Path) -> None:
    names, found = ("apple", "leaf", "sky") * 3, {}

    def one(number: int, name: str) -> None:
        found[number] = answered(server, (pictures / name / "001.png").read_bytes())["explained"]

    threads = [threading.Thread(target=one, args=arguments) for arguments in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(9)] == [0, 1, 2] * 3


def test_nothing_is_written(
    server: TryServer, pictures: Path, monkeypatch: pytest.MonkeyPatch, isolated_cache: Path
) -> None:
    before = sorted(pictures.parent.rglob("*"))
    monkeypatch.chdir(pictures.parent)
    answered(server, (pictures / "sky" / "000.png").read_bytes())
    assert sorted(pictures.parent.rglob("*")) == before
    assert list(isolated_cache.iterdir()) == []


# --- the page ---------------------------------------------------------------------------------------


def test_the_page_runs_its_own_script_alone(server: TryServer) -> None:
    first, second = (asked(server, "GET", "/") for _ in range(2))
    policy, page = first.headers["Content-Security-Policy"], first.read().decode()
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', page))
    assert f"script-src 'nonce-{nonce}'" in policy
    assert "default-src 'none'" in policy
    assert nonce not in second.headers["Content-Security-Policy"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"https?:|//[a-z]+\.|innerHTML| on[a-z]+=", page)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_said_to_be(server: TryServer, content: bytes) -> None:
    assert "The file cannot be used: " in answered(server, content, status=422)["error"]


def test_a_picture_of_too_many_pixels_is_refused(server: TryServer) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    assert "more than 100,000,000 pixels" in answered(server, out.getvalue(), status=422)["error"]


def test_a_large_file_is_refused_before_it_comes(server: TryServer) -> None:
    response = asked(server, body=b"x", headers={"Content-Length": str(MOST_BYTES + 1)})
    assert response.status == 413
    assert "larger than 20 MB" in json.loads(response.read())["error"]


@pytest.mark.parametrize("length", ["", "-1", "abc", "1e3"])
def test_the_length_must_be_said(server: TryServer, length: str) -> None:
    assert asked(server, body=b"x", headers={"Content-Length": length}).status == 411


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:{port}.evil", ""])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/answer")])
def test_another_name_for_this_machine_is_refused(server: TryServer, host: str, method: str, path: str) -> None:
    response = asked(server, method, path, headers={"Host": host.format(port=server.server_port)})
    assert response.status == 421
    assert b"<html" not in response.read()


@pytest.mark.parametrize(("origin", "status"), [("{own}", 422), ("https://evil.example", 403), ("null", 403)])
def test_the_page_alone_may_ask(server: TryServer, origin: str, status: int) -> None:
    headers = {"Origin": origin.format(own=server.address), "Content-Length": "0"}
    assert asked(server, headers=headers).status == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/etc/passwd", 404),
        ("GET", "/answer", 404),
        ("POST", "/", 404),
        ("POST", "/answer?explain=3", 400),
        ("POST", "/answer?explain=-1", 400),
        ("POST", "/answer?explain=" + "9" * 5000, 400),
        ("POST", "/answer?explain=" + "0" * 9 + "9999", 400),
        ("PUT", "/answer", 501),
    ],
)
def test_there_is_nothing_else(server: TryServer, method: str, path: str, status: int) -> None:
    assert asked(server, method, path, b"").status == status


def test_a_client_that_goes_away_or_says_nothing_stops_nobody(
    server: TryServer, pictures: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module._Handler, "timeout", 0.2)
        silent = socket.create_connection((LOOPBACK, server.server_port))
        silent.settimeout(20)
        assert silent.recv(1) == b""  # the server has hung up
    head = f"POST /answer HTTP/1.0\r\nHost: {LOOPBACK}:{server.server_port}\r\nContent-Length: 1000\r\n\r\n"
    for rest in (b"", b"half"):
        with socket.create_connection((LOOPBACK, server.server_port)) as leaving:
            leaving.sendall(head.encode() + rest)
    assert answered(server, (pictures / "sky" / "000.png").read_bytes())["explained"] == 2
    silent.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_one_sentence(server: TryServer, pictures: Path) -> None:
    with pytest.raises(OptionError, match=f"--port {server.server_port} cannot be used .*give another one"):
        TryServer(trained_model(pictures), server.server_port)


def test_the_server_is_on_loopback_alone(server: TryServer) -> None:
    assert server.socket.getsockname()[0] == LOOPBACK
