"""A workspace whose core.WebhookSensor listens, and an independent client of it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.plugins.patience import SOON
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def reason(self) -> str:
        return str(json.loads(self.text)["faultstring"])


class Endpoint:
    """:param options: lines of `[webhooks]`; :param signatures: the signatures in the pack's configuration."""

    def __init__(
        self, workspace: Workspace, options: str = "", signatures: Mapping[str, Any] | None = None, extra: str = ""
    ) -> None:
        self.workspace = workspace
        self.port = free_port()
        self.tls: ssl.SSLContext | None = None
        workspace.configure(f"{extra}\n[webhooks]\nenable = true\nport = {self.port}\n{options}")
        if signatures:
            configs = workspace.folder / "configs"
            configs.mkdir(exist_ok=True)
            (configs / "core.yaml").write_text(yaml.safe_dump({"signatures": signatures}))

    def ask_for(self, *urls: str) -> None:
        """Register rules, one for each URL."""
        for number, url in enumerate(urls):
            self.workspace.add_rule("hooks", f"rule{number}", "core.st2.webhook", url=url)
        self.workspace.reload_well()

    def start(self) -> Container:
        container = self.workspace.start()
        container.wait_for_log("listening at http")
        eventually("keys are read", lambda: self.post("nobody/asks/for/this").status != 503)
        return container

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection: http.client.HTTPConnection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
            if self.tls is None
            else http.client.HTTPSConnection("127.0.0.1", self.port, timeout=SOON, context=self.tls)
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(status=response.status, headers=dict(response.headers.items()), text=response.read().decode())
        finally:
            connection.close()

    def post(self, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """:param body: bytes, or an object that is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.send("POST", f"/api/v1/webhooks/{url}", data, {**JSON, **(headers or {})})

    def apikey(self, *arguments: str) -> Any:
        """Run `st2sensor apikey`, and return its JSON output."""
        done = self.workspace.run(
            "st2sensor", "--config-file", str(self.workspace.config), "apikey", *arguments, "--json"
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def certificate_context(certificate: Path) -> ssl.SSLContext:
    """Return a TLS context that trusts the certificate."""
    return ssl.create_default_context(cafile=str(certificate))
