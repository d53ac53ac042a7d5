"""One page and its answers over HTTP, on this machine's loopback alone; nothing is written to the disk."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from automl_tl.errors import AutomlTlError, OptionError, sentence
from automl_tl.model.model import Model
from automl_tl.tryout.answer import answer
from automl_tl.tryout.page import POLICY, render

LOOPBACK = "127.0.0.1"
MOST_BYTES = 20_000_000
"""Of a picture's file."""
PATIENCE = 30.0
"""Seconds that a client may be silent."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class TryServer(ThreadingHTTPServer):
    """Serves one model; answers come one at a time, whatever the number of connections.

    Args:
        model: in eval mode.
        port: 0 for any that is free.

    Raises:
        OptionError: The port cannot be had.
    """

    daemon_threads = True

    def __init__(self, model: Model, port: int) -> None:
        self.model, self.one_at_a_time = model, threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise OptionError(
                f"--port {port} cannot be used ({error.strerror or error}); give another one, or 0 for any that is free"
            ) from error

    @property
    def names(self) -> frozenset[str]:
        """What a browser on this machine may call the server."""
        bare = (LOOPBACK, "localhost")
        return frozenset((*(f"{name}:{self.server_port}" for name in bare), *(bare if self.server_port == 80 else ())))

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class RefusedError(AutomlTlError):
    """A request is not answered; with the status that says so."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """GET / is the page; POST /answer takes a picture's bytes, ?explain=NUMBER names the class of the heat map."""

    server: TryServer
    timeout = PATIENCE
    server_version, sys_version = "automl-tl", ""

    def do_GET(self) -> None:
        """Send the page."""
        self._reply("/", self._page)

    def do_POST(self) -> None:
        """Answer for a picture."""
        self._reply("/answer", self._answer)

    def _reply(self, path: str, send: Callable[[], None]) -> None:
        try:
            self._check(path)
            send()
        except RefusedError as refused:
            self._send_json(refused.status, {"error": str(refused)})
        except AutomlTlError as error:
            self._send_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        except OSError:  # of a browser that went away
            raise
        except Exception as error:
            told = f"The picture has no answer: {sentence(error)}."
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": told})
            raise

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render(self.server.model, MOST_BYTES, nonce)
        self._send(HTTPStatus.OK, "text/html", page, {"Content-Security-Policy": POLICY.format(nonce=nonce)})

    def _answer(self) -> None:
        explained, content = self._explained(), self._content()
        with self.server.one_at_a_time:
            found = answer(self.server.model, content, explained)
        self._send_json(HTTPStatus.OK, found)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the page says it."""

    def _check(self, path: str) -> None:
        """Refuse other pages, and requests that other sites make: by a name that leads here, or from their own pages.

        A site whose name was made to lead to this machine (DNS rebinding) is known by that name in Host.
        """
        names = self.server.names
        if self.headers.get("Host") not in names:
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, f"Open the page at {self.server.address}.")
        if self.headers.get("Origin", self.server.address).removeprefix("http://") not in names:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Only the page itself may ask.")
        if urlsplit(self.path).path != path:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is only one page here.")

    def _explained(self) -> int | None:
        number = parse_qs(urlsplit(self.path).query).get("explain", [""])[0]
        if not number:
            return None
        if not (number.isdecimal() and len(number) < 10 and int(number) < len(self.server.model.classes)):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The model has no class of this number.")
        return int(number)

    def _content(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "The length of the picture must be said.")
        if len(length) > 12 or int(length) > MOST_BYTES:
            most = f"{MOST_BYTES // 1_000_000} MB"
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The file is larger than {most}: give a smaller one."
            )
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The picture did not come whole.")
        return content

    def _send_json(self, status: HTTPStatus, values: Any) -> None:
        self._send(status, "application/json", json.dumps(values, allow_nan=False), {})

    def _send(self, status: HTTPStatus, kind: str, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
