"""HTTP on loopback in both directions: an API for sensors, and requests to sensors that listen."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.servers.certificate import make_certificate
from tests.support.servers.waiting import eventually

OPENER = build_opener(ProxyHandler({}))
"""Loopback needs no proxy."""

JSON = {"Content-Type": "application/json"}

LISTENS = 30.0
"""Seconds within which a started sensor must listen."""

Answer = Callable[[str, str, bytes], Any]
"""A function from method, path and body to the answer, as JSON; None if there is nothing at the path."""


class Api:
    """An HTTP server with answers from a function, as a context manager.

    :param certify: folder for the server's certificate, for HTTPS.
    """

    def __init__(self, answer: Answer, certify: Path | None = None) -> None:
        self.requests: list[str] = []
        """Methods and paths, as `GET /path`, in order."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(answer))
        if certify is not None:
            key, certificate = make_certificate(certify)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if certify is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Api:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def is_asked(self, text: str) -> None:
        """Wait for a request whose method and path contain a text. Raises AssertionError."""
        eventually(f"a request of {text}", lambda: any(text in request for request in self.requests), LISTENS)

    def _handler(self, answer: Answer) -> type[BaseHTTPRequestHandler]:
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                requests.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = answer(self.command, self.path, body)
                content = json.dumps({} if found is None else found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _reply

            def log_message(self, format: str, *arguments: Any) -> None:
                """Do not log: requests are kept."""

        return Handler


def send(url: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> None:
    """Send a request to a sensor, as soon as it listens. Raises OSError if the sensor refuses it, AssertionError if the
    sensor does not listen."""

    def attempt() -> bool:
        try:
            with OPENER.open(Request(url, body, dict(headers), method=method), timeout=10):
                return True
        except HTTPError:
            raise
        except URLError:
            return False

    eventually(f"{url} answers", attempt, LISTENS)


def send_json(url: str, content: Any, method: str = "POST", headers: Mapping[str, str] | None = None) -> None:
    """Send JSON to a sensor, as `send` does."""
    send(url, json.dumps(content).encode(), {**JSON, **(headers or {})}, method)
