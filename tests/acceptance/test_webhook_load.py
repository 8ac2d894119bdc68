"""Two hundred clients at once, of whom none is told 202 of what is not in the exchange; and odd clients."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers.mongodb import MongoDB
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.waiting import eventually
from tests.webhooks import Endpoint
from tests.workspace import ROOT, Listener, Workspace

CLIENTS = 200

MINUTE = [15, pytest.param(60, marks=pytest.mark.soak)]
"""Seconds; all of a minute in the soak."""

LAST = 3
"""Seconds at the end in which nobody posts."""


@pytest.fixture
def workspace(folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Workspace]:
    found = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url)
    yield found
    found.close()


class Load:
    """wrk, for so many seconds."""

    def __init__(self, endpoint: Endpoint, seconds: int) -> None:
        if shutil.which("wrk") is None:
            missing("no wrk: as root, make test installs Debian's wrk")
        self._folder = endpoint.workspace.folder
        command = [
            *("wrk", "--threads", "2", "--connections", str(CLIENTS), "--duration", f"{seconds}s", "--timeout", "30s"),
            *("--script", str(ROOT / "tests" / "load.lua"), endpoint.url("/api/v1/webhooks/load")),
            *("--", str(self._folder), str(seconds - LAST)),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def accepted(self) -> list[str]:
        """What was answered with 202."""
        lines = [line for path in self._folder.glob("accepted-*") for line in path.read_text().split("\n")[:-1]]
        return [line.split('"')[3] for line in lines]

    def finish(self) -> str:
        printed, _ = self.process.communicate(timeout=150)
        assert self.process.returncode == 0, printed
        return printed


def received(listener: Listener) -> Counter[str]:
    """Events by their numbers, each message counted once however often it came."""
    messages = {
        message.message_id: message.payload["body"]["n"] for message in list(listener.seen) if "body" in message.payload
    }
    return Counter(messages.values())


def begun(workspace: Workspace) -> tuple[Endpoint, Listener]:
    endpoint = Endpoint(workspace)
    endpoint.ask_for("load")
    return endpoint, workspace.listen()


@pytest.mark.parametrize("seconds", MINUTE)
def test_200_clients_lose_nothing(workspace: Workspace, seconds: int) -> None:
    endpoint, listener = begun(workspace)
    endpoint.start()
    load = Load(endpoint, seconds)
    printed = load.finish()
    accepted = load.accepted()
    assert len(accepted) > CLIENTS * 10, printed
    assert "Non-2xx" not in printed
    eventually(f"all {len(accepted)} events", lambda: len(received(listener)) >= len(accepted), timeout=60)
    assert received(listener) == Counter(accepted)


@pytest.mark.parametrize("seconds", MINUTE)
def test_nor_when_the_container_is_killed_in_the_middle(workspace: Workspace, seconds: int) -> None:
    endpoint, listener = begun(workspace)
    container = endpoint.start()
    load = Load(endpoint, seconds)
    for share in (2, 4):
        eventually("events are accepted", lambda: len(load.accepted()) > CLIENTS * share, timeout=60)  # noqa: B023
        container.process.kill()
        container.process.wait()
        container = endpoint.start()
    before = len(load.accepted())
    printed = load.finish()
    accepted = set(load.accepted())
    assert len(accepted) > before + CLIENTS, printed
    eventually(f"all {len(accepted)} events", lambda: accepted <= received(listener).keys(), timeout=60)
    # Those that were on disk when their answers could no longer be given.
    assert len(received(listener).keys() - accepted) <= 2 * CLIENTS


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("deploy", "auto"),
        pytest.param(None, "auto", marks=pytest.mark.soak),
        pytest.param("deploy", "always", marks=pytest.mark.soak),
    ],
)
def test_schemathesis_finds_nothing(embedded: Workspace, url: str | None, requirement: str) -> None:
    endpoint = Endpoint(embedded, f"max_size = 100000\ntimeout = 3\nrequire_key = {requirement}")
    endpoint.ask_for("deploy")
    container = endpoint.start()
    key = endpoint.apikey("create")["key"] if requirement == "always" else "none"
    parameters = "" if url is None else f'[parameters]\nurl = "{url}"\n'
    (embedded.folder / "schemathesis.toml").write_text(parameters)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", endpoint.url("/api/v1/openapi.json")),
            *(
                "--checks",
                "all",
                "--max-examples",
                "300",
                "--header",
                f"St2-Api-Key: {key}",
                "--no-color",
                "--warnings",
                "off",
            ),
        ],
        cwd=embedded.folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    generated = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert generated is not None
    assert int(generated[1]) == int(generated[2]) > 100, done.stdout
    assert "Traceback" not in container.log
    assert endpoint.post("deploy", {}, {"St2-Api-Key": key}).status == 202
