"""A stand-in for the container that answers on the control socket, with reports to answer with and hostile text."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from st2sensor.cli import st2sensor as program
from st2sensor.portable import rpc
from st2sensor.reports import NodeReport, SensorReport

NASTY = "a\x1b[31mb\x00c\x9b2Jd\re\u202ef\u2066g[bold]h"
LONE = NASTY + "\ud800i"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Answers = dict[str, Callable[..., Any]]

CONFIG = """\
[system]
base_path = .
[database]
connection = sqlite://
[messaging]
url = local://
[sensorcontainer]
state_dir = state
"""


class Peer:
    """Answers on a control socket, each connection in its own thread. Closes the connection at an unknown method."""

    def __init__(self, path: Path, answers: Answers, *, events: list[dict[str, Any]] | None = None) -> None:
        self._answers = answers
        self._events = events or []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            requests = rpc.Requests()
            for line in lines:
                request = requests.add(line.rstrip(b"\n"))
                if request is None:
                    continue
                if request["method"] not in (*self._answers, "follow"):
                    return
                if request["method"] == "follow":
                    connection.sendall(rpc.result(request["id"], None))
                    for event in self._events:
                        connection.sendall(rpc.notification("event", event))
                    return
                try:
                    found = self._answers[request["method"]](**request["params"])
                    answer = rpc.result(request["id"], _plain(found))
                except ValueError as error:
                    answer = rpc.error(request["id"], error)
                connection.sendall(answer)


def _plain(answer: Any) -> Any:
    """Return reports as the container sends them."""
    if isinstance(answer, list):
        return [_plain(item) for item in answer]
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


def report(ref: str = "p.S", **fields: Any) -> SensorReport:
    """Return a report on a running sensor, unless the fields say otherwise."""
    return SensorReport(**{"ref": ref, "state": "running", **fields})


def node(name: str = "here", **fields: Any) -> NodeReport:
    """Return a report of a container where all is well, unless the fields say otherwise."""
    defaults: dict[str, Any] = {
        "version": "1",
        "pid": 1,
        "started": time.time(),
        "source": "",
        "summary": name,
        "checks": (),
        "outbox_depth": 0,
        "outbox_size": 1,
        "outbox_bytes": 0,
        "outbox_max_bytes": 1,
        "outbox_oldest": None,
        "latencies": (),
        "latency_sum": 0.0,
        "memory": 1,
        "cpu": 0.0,
    }
    return NodeReport(name=name, **{**defaults, **fields})


def run(config_file: Path, *arguments: str, given: str | None = None) -> Result:
    """Run st2sensor in this process."""
    return CliRunner().invoke(program.root, ["--config-file", str(config_file), *arguments], input=given)


def said(result: Result) -> str:
    """Return the output of a command that did not fail."""
    assert result.exception is None, result.exception
    return result.stdout
