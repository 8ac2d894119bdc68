"""Push: events sent to HTTP servers that fail, hang and restart, by a container that is killed."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from tests.acceptance.test_consumers import Api, Consumer, check, started
from tests.plugins.patience import AT_LAST, LATER
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

SECRET = base64.b64encode(b"a secret of a test, 32 bytes long").decode()


class Receiver:
    """An HTTP server on a port of its own, which checks signatures and keeps what it takes."""

    def __init__(self) -> None:
        self.port = free_port()
        self.events: list[Any] = []
        self.answers: Callable[[], int | None] = lambda: 204
        """Returns the status of the next answer; None: there is no answer until the sender gives up."""
        self.asked = 0
        self._server: ThreadingHTTPServer | None = None
        self._peers: set[Any] = set()

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._peers.add(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.judge(self.headers, body)
                if status is None:
                    self.rfile.read(1)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and cut the connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            for peer in list(self._peers):
                peer.close()
            self._peers.clear()
            self._server = None

    def judge(self, headers: Any, body: bytes) -> int | None:
        self.asked += 1
        identifier, at = headers["webhook-id"], headers["webhook-timestamp"]
        digest = hmac.digest(base64.b64decode(SECRET), f"{identifier}.{at}.".encode() + body, "sha256")
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert abs(time.time() - int(at)) < AT_LAST
        event = json.loads(body)
        assert event["id"] == identifier
        status = self.answers()
        if status == 204:
            self.events.append(event)
        return status

    def wait(self, number: int) -> None:
        """Wait until there are at least that many events."""
        until = time.monotonic() + LATER
        while len(self.events) < number:
            assert time.monotonic() < until, f"{len(self.events)} of {number} events after {self.asked} requests"
            time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    yield made
    made.stop()


def configured(workspace: Workspace, receiver: Receiver, extra: str = "", **more: object) -> Api:
    (workspace.folder / "push.secret").write_text(f"whsec_{SECRET}\n")
    target = {"url": f"http://127.0.0.1:{receiver.port}/hook?token=hidden", "secret_file": "push.secret"}
    chosen = {"triggers": ["p.counted"], **more}
    (workspace.folder / "push.yaml").write_text(yaml.safe_dump({"inventory": {**target, **chosen}}))
    return Api(workspace, f"[push]\ntargets = push.yaml\ntimeout = 0.5\nretry_max = 0.5\n{extra}")


def test_a_target_that_fails_hangs_and_restarts_gets_every_event_in_order(
    embedded: Workspace, receiver: Receiver
) -> None:
    api = configured(embedded, receiver)
    statuses = itertools.cycle([204, 204, 503, 404, 204, 302, 204, 204])
    receiver.answers = lambda: next(statuses)
    container = started(embedded)
    receiver.wait(10)
    receiver.answers = lambda: None
    asked = receiver.asked
    until = time.monotonic() + LATER
    while receiver.asked < asked + 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    receiver.answers = lambda: 410
    # A refusal is told everywhere, without the path and the query of the URL.
    until = time.monotonic() + LATER
    listed = embedded.run("st2sensor", "--config-file", str(embedded.config), "list")
    while "HTTP 410" not in listed.stderr:
        assert time.monotonic() < until, listed.stderr
        listed = embedded.run("st2sensor", "--config-file", str(embedded.config), "list")
    assert f"push to inventory (http://127.0.0.1:{receiver.port}): HTTP 410" in listed.stderr
    assert "HTTP 410" in embedded.run("st2sensor", "--config-file", str(embedded.config), "show", "p.Counts").stdout
    _, ready = api.get("/ready")
    assert any("HTTP 410" in note for note in ready["notes"])
    receiver.answers = lambda: 204
    receiver.wait(len(receiver.events) + 5)
    receiver.stop()
    receiver.start()
    receiver.wait(len(receiver.events) + 5)
    assert container.stop() == 0
    before = len(receiver.events)
    container = embedded.start()
    receiver.wait(before + 5)
    check(receiver.events)
    for text in ("hidden", SECRET):
        assert text not in container.log


@pytest.mark.parametrize(
    ("extra", "more", "named"),
    [
        ("[history]\nenable = false\n", {}, "[history] enable = true"),
        ("", {"from": "now"}, "inventory: from:"),
        ("", {"secret_file": "missing"}, "inventory: secret_file:"),
        ("", {"retries": 5}, "inventory: unknown key retries"),
    ],
)
def test_a_mistake_is_an_error_of_the_configuration(
    embedded: Workspace, receiver: Receiver, extra: str, more: dict[str, object], named: str
) -> None:
    configured(embedded, receiver, extra, **more)
    done = embedded.run("st2sensorcontainer", "--config-file", str(embedded.config))
    assert done.returncode == 78
    assert "[push] targets: " in done.stderr
    assert named in done.stderr


def test_no_pushed_event_is_missing_however_often_the_container_is_killed(
    embedded: Workspace, receiver: Receiver
) -> None:
    configured(embedded, receiver)
    chance = random.Random(25)
    receiver.answers = lambda: 204 if chance.random() < 0.9 else 503
    container = started(embedded)
    for _ in range(3):
        receiver.wait(len(receiver.events) + chance.randint(1, 12))
        container.process.kill()
        container.process.wait()
        container = embedded.start()
        container.wait_for_log("the status page is at", timeout=LATER)
    receiver.wait(len(receiver.events) + 10)
    check(receiver.events)


@pytest.mark.soak(minutes=2)
def test_neither_a_consumer_nor_a_target_misses_an_event_of_a_container_that_is_killed_at_random_moments(
    embedded: Workspace, receiver: Receiver
) -> None:
    """Kill it 10 times, or as often as the variable KILLS says."""
    consumer = Consumer(configured(embedded, receiver))
    chance = random.Random(26)
    receiver.answers = lambda: 204 if chance.random() < 0.9 else 503
    container = started(embedded)
    for _ in range(int(os.environ.get("KILLS", "10"))):
        consumer.consume(1)
        threading.Timer(chance.random(), container.process.kill).start()
        container.process.wait(LATER)
        container = embedded.start()
        container.wait_for_log("the status page is at", timeout=LATER)
    consumer.consume(10)
    wanted = {event["id"] for event in consumer.events}
    eventually("the target has all", lambda: wanted <= {event["id"] for event in receiver.events}, LATER)
    check(consumer.events)
    check(receiver.events)
