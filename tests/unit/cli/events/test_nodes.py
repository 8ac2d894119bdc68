"""Asking other nodes for their events: which are asked, and what is told of the others."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from st2sensor import config
from st2sensor.cli.events.nodes import ask, not_asked, sound
from st2sensor.models import Member
from st2sensor.settings import Settings
from st2sensor.storage import open_leases
from tests.plugins.patience import SOON

HOST = socket.gethostname()


class Peer:
    """The page of another node."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"events": []}'
        self.seen: list[tuple[str, str | None]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer.seen.append((self.path, self.headers["Authorization"]))
                self.send_response(peer.status)
                self.send_header("Content-Length", str(len(peer.body)))
                self.end_headers()
                self.wfile.write(peer.body)

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "st2.conf"
    path.write_text(
        "[database]\nconnection = sqlite://\n[sensorcontainer]\nstate_dir = state\nsensor_node_name = here\n"
        "partition_provider = name:shared\nhttp = 127.0.0.1:1\nhttp_token = sesame\n"
    )
    return config.load([str(path)])


def join(settings: Settings, *members: Member) -> None:
    with closing(open_leases(settings.database, SOON)) as leases:
        leases.prepare()
        for member in members:
            leases.join(member)


def test_the_others_are_asked_with_the_token(settings: Settings, peer: Peer) -> None:
    join(
        settings,
        Member(id="1", node="here", host=HOST, http="127.0.0.1:1"),
        Member(id="2", node="there", host=HOST, http=peer.address),
    )
    [answer] = ask(settings, "/history", [("where", "payload.x>1")])
    assert (answer.node, answer.document, answer.problem) == ("there", {"events": []}, "")
    assert peer.seen == [("/history?where=payload.x%3E1", "Bearer sesame")]


def test_nodes_that_cannot_be_asked_are_named(settings: Settings) -> None:
    join(
        settings,
        Member(id="1", node="gone", host=HOST, http="127.0.0.1:1"),
        Member(id="2", node="far", host="far.example", http="127.0.0.1:9105"),
        Member(id="3", node="mute", host=HOST),
    )
    lines = dict(line.removeprefix("not asked: ").split(": ", 1) for line in not_asked(ask(settings, "/history")))
    assert lines["far"] == "its [sensorcontainer] http is 127.0.0.1:9105, which only far.example reaches"
    assert "no [sensorcontainer] http" in lines["mute"]
    assert "no answer at http://127.0.0.1:1" in lines["gone"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"no event in H has the id x", ""),
        (404, b"404: Not Found", "HTTP 404"),
        (404, b"several events begin with x", "several events"),
        (401, b"", "the same [sensorcontainer] http_token"),
        (503, b"no events are kept", "no events are kept"),
        (200, b"[]", "the answer is no object"),
        (200, b"{", "no answer"),
    ],
)
def test_an_answer_that_is_none_is_told(settings: Settings, peer: Peer, status: int, body: bytes, told: str) -> None:
    join(settings, Member(id="1", node="there", host=HOST, http=peer.address))
    peer.status, peer.body = status, body
    [answer] = ask(settings, "/history/x")
    assert answer.document is None
    assert told in answer.problem
    assert bool(told) == bool(answer.problem)


def test_nothing_is_asked_if_sensors_are_not_shared(tmp_path: Path) -> None:
    path = tmp_path / "st2.conf"
    base = "[database]\nconnection = sqlite://\n[sensorcontainer]\nstate_dir = state\n"
    path.write_text(base)
    assert ask(config.load([str(path)]), "/history") == []
    path.write_text(f"{base}partition_provider = name:hash, hash_ranges:0..MAX\n")
    [line] = not_asked(ask(config.load([str(path)]), "/history"))
    assert "run this on each of them" in line


def test_an_event_of_another_version_is_not_shown() -> None:
    good: dict[str, Any] = {
        "message_id": "1",
        "state": "confirmed",
        "trigger_type": "p.t",
        "dispatched": "2026-01-31T12:00:00.000000Z",
        "kept": True,
        "payload": None,
    }
    assert sound(good)
    assert sound(json.loads(json.dumps({**good, "timeline": []})))
    for name in good:
        assert not sound({key: value for key, value in good.items() if key != name})
    assert not sound({**good, "dispatched": "yesterday"})
    assert not sound([])
