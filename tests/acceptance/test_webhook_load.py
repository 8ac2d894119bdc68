"""Two hundred clients at once, none of which is told 202 for an event that is not in the exchange; and odd clients."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.plugins.patience import AT_LAST, FACTOR, LATER
from tests.support.schemathesis import finds_nothing
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually, grown
from tests.support.webhooks import Endpoint
from tests.support.workspace import ROOT, Container, Listener, Workspace

CLIENTS = 200

POSTS = [
    pytest.param(2500, marks=pytest.mark.soak),
    pytest.param(60_000, marks=pytest.mark.soak(minutes=4), id="a minute's worth"),
]

THREADS = 2


@pytest.fixture
def workspace(folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Workspace]:
    found = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url)
    yield found
    found.close()


class Load:
    """wrk, until `posts` posts are answered in any way. Each client may have one more on its way."""

    def __init__(self, endpoint: Endpoint, posts: int) -> None:
        if shutil.which("wrk") is None:
            missing("no wrk: as root, make test installs Debian's wrk")
        self._folder = endpoint.workspace.folder
        self._posts = posts
        command = [
            *("wrk", "--threads", str(THREADS), "--connections", str(CLIENTS)),
            *("--duration", f"{AT_LAST:.0f}s", "--timeout", f"{AT_LAST:.0f}s"),
            *("--script", str(ROOT / "tests" / "support" / "webhook_load.lua"), endpoint.url("/api/v1/webhooks/load")),
            *("--", str(self._folder), str(posts // THREADS)),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def answers(self) -> list[tuple[str, str]]:
        """Return status and number of each answer. The number is empty where nothing was accepted."""
        lines = [line for path in self._folder.glob("answers-*") for line in path.read_text().split("\n")[:-1]]
        return [(line[:3], line.split('"')[3] if line.startswith("202") else "") for line in lines]

    def accepted(self) -> list[str]:
        """Return the numbers of the posts that were answered with 202."""
        return [number for status, number in self.answers() if status == "202"]

    def wait(self) -> None:
        """Wait until all posts are answered. After that no client begins another one."""
        grown("answered", lambda: len(self.answers()), self._posts)

    def finish(self) -> None:
        self.process.send_signal(signal.SIGINT)
        printed, _ = self.process.communicate(timeout=LATER)
        assert self.process.returncode == 0, printed

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def received(listener: Listener) -> Counter[str]:
    """Count the events by number. A message that came several times counts once."""
    messages = {
        message.message_id: message.payload["body"]["n"]
        for message in list(listener.seen)
        if "n" in message.payload.get("body", {})
    }
    return Counter(messages.values())


def begun(workspace: Workspace) -> tuple[Endpoint, Listener, Container]:
    # So long that no client is told that it is too slow.
    endpoint = Endpoint(workspace, f"timeout = {AT_LAST:g}")
    endpoint.ask_for("load", "first")
    listener = workspace.listen()
    container = endpoint.start()
    eventually("it takes posts", lambda: endpoint.post("first").status == 202)
    return endpoint, listener, container


@pytest.mark.parametrize("posts", POSTS)
def test_200_clients_lose_nothing(workspace: Workspace, posts: int) -> None:
    endpoint, listener, _ = begun(workspace)
    with closing(Load(endpoint, posts)) as load:
        load.wait()
        eventually("all are answered, and here", lambda: received(listener) == Counter(load.accepted()), timeout=LATER)
        load.finish()
    assert {status for status, _ in load.answers()} == {"202"}
    accepted = Counter(load.accepted())
    eventually("the last events", lambda: accepted <= received(listener), timeout=LATER)
    # Events that were on disk when the clients ended, before they had their answers.
    late = received(listener) - accepted
    assert late.total() <= CLIENTS
    assert set(late.values()) <= {1}


@pytest.mark.parametrize("posts", POSTS)
def test_nor_when_the_container_is_killed_in_the_middle(workspace: Workspace, posts: int) -> None:
    endpoint, listener, container = begun(workspace)
    with closing(Load(endpoint, posts)) as load:
        for share in (2, 4):
            eventually("events are accepted", lambda: len(load.accepted()) > CLIENTS * share, LATER)  # noqa: B023
            container.process.kill()
            container.process.wait()
            container = endpoint.start()
        before = len(load.accepted())
        load.wait()
        load.finish()
    accepted = set(load.accepted())
    assert len(accepted) > before + CLIENTS
    eventually(f"all {len(accepted)} events", lambda: accepted <= received(listener).keys(), timeout=LATER)
    # Events that were on disk when their answers could no longer be sent: at each kill, and when the clients ended.
    assert len(received(listener).keys() - accepted) <= 3 * CLIENTS


@pytest.mark.parametrize(
    ("url", "requirement", "most"),
    [
        pytest.param("deploy", "auto", 300, marks=pytest.mark.soak(minutes=2)),
        pytest.param(None, "auto", 300, marks=pytest.mark.soak(minutes=2)),
        pytest.param("deploy", "always", 300, marks=pytest.mark.soak(minutes=2)),
    ],
)
def test_schemathesis_finds_nothing(embedded: Workspace, url: str | None, requirement: str, most: int) -> None:
    endpoint = Endpoint(embedded, f"max_size = 100000\ntimeout = {3 * FACTOR:g}\nrequire_key = {requirement}")
    endpoint.ask_for("deploy")
    container = endpoint.start()
    key = endpoint.apikey("create")["key"] if requirement == "always" else "none"
    eventually("it takes posts", lambda: endpoint.post("deploy", {}, {"St2-Api-Key": key}).status == 202)
    parameters = "" if url is None else f'[parameters]\nurl = "{url}"\n'
    arguments = ("--max-examples", str(most), "--header", f"St2-Api-Key: {key}")
    output = finds_nothing(endpoint.url("/api/v1/openapi.json"), embedded.folder, parameters, *arguments)
    generated = re.search(r"(\d+) generated, (\d+) passed", output)
    assert generated is not None
    assert int(generated[1]) == int(generated[2]) > most / 3, output
    assert "Traceback" not in container.log
    assert endpoint.post("deploy", {}, {"St2-Api-Key": key}).status == 202
