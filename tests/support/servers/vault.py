"""A server that speaks the part of Vault's HTTP API that st2sensor uses: KV version 2, AppRole, tokens, sealing."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Vault:
    """Serves on a port of loopback until `close`.

    :param key: files of the private key and of the certificate, for TLS; None for plain HTTP.
    :ivar secrets: fields by path; a path with None is deleted.
    :ivar tokens: tokens that are valid.
    :ivar status: the answer to everything, such as 503 while it is sealed; None for the usual answers.
    """

    def __init__(self, key: tuple[Path, Path] | None = None, port: int = 0) -> None:
        self.secrets: dict[str, Mapping[str, Any] | None] = {}
        self.tokens = {"root-token"}
        self.status: int | None = None
        self.location = ""
        self.requests: list[str] = []
        self.drip = threading.Event()
        """Makes it send an endless answer, slowly."""
        self.closing = threading.Event()
        self.logins = 0
        self.lease = 3600
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vault.answer(self, b"")

            def do_POST(self) -> None:
                vault.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if key is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(key[1], key[0])
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'http' if key is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests.append(f"{request.command} {request.path}")
        if self.drip.is_set():
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.closing.wait(0.02):
                request.wfile.write(b"X: y\r\n" if self.closing.is_set() else b"X")
            return
        status, answer = self._answer(request, body)
        content = json.dumps(answer).encode()
        request.send_response(status)
        if 300 <= status < 400:
            request.send_header("Location", self.location)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        if self.status is not None:
            return self.status, {"errors": ["hush-from-server"]}
        if request.path == "/v1/auth/approle/login":
            if json.loads(body) != {"role_id": "role", "secret_id": "s3cret-id"}:
                return 400, {"errors": ["invalid role or secret ID"]}
            self.logins += 1
            token = f"login-{self.logins}"
            self.tokens.add(token)
            return 200, {"auth": {"client_token": token, "lease_duration": self.lease}}
        if request.headers.get("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        path = request.path.removeprefix("/v1/secret/data/")
        if path not in self.secrets:
            return 404, {"errors": []}
        fields = self.secrets[path]
        metadata = {"version": 1}
        return (404 if fields is None else 200), {"data": {"data": fields, "metadata": metadata}}
