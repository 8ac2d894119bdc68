"""Numbered streams of triggers, and a reader of those that arrive in the rules engine's queue."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

from tests.plugins.patience import LATER
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually, grown
from tests.support.workspace import Workspace

STREAM = """
import os
import time

FOLDER = {folder!r}


class Stream(Sensor):
    def run(self):
        path = os.path.join(FOLDER, "accepted")
        n = 0
        if os.path.exists(path):
            n = max([int(line) for line in open(path) if line.endswith("\\n")], default=-1) + 1
        with open(path, "a") as accepted:
            while not os.path.exists(os.path.join(FOLDER, "enough")):
                self.sensor_service.dispatch("stream.number", {{"n": n}})
                accepted.write(f"{{n}}\\n")
                accepted.flush()
                n += 1
                time.sleep({pause})
        open(os.path.join(FOLDER, "ended"), "w").close()
        time.sleep(1000)
"""


class Stream:
    """A sensor that dispatches 0, 1, 2 and so on, in a workspace of its own."""

    def __init__(self, workspace: Workspace, pause: float = 0.01, **trigger: Any) -> None:
        self.workspace = workspace
        self._folder = workspace.folder / "stream"
        self._folder.mkdir()
        code = STREAM.format(folder=str(self._folder), pause=pause)
        workspace.add_sensor("stream", "Stream", code, trigger_types=[{"name": "number", **trigger}])
        workspace.reload_well()

    def accepted(self) -> list[int]:
        """Return the number of each dispatch() that has returned."""
        path = self._folder / "accepted"
        if not path.exists():
            return []
        return [int(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, count: int) -> None:
        """Wait until `count` more numbers are accepted."""
        grown("accepted", self._count, self._count() + count)

    def _count(self) -> int:
        """Return how many numbers are accepted, without reading them: this is called many times."""
        path = self._folder / "accepted"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def end(self) -> None:
        (self._folder / "enough").touch()
        eventually("the stream has ended", lambda: (self._folder / "ended").exists())

    def check(self, broker: RabbitMQ, *, repeats: bool = True) -> list[int]:
        """Check that every accepted number arrives in order, and return what arrives.

        :param repeats: whether a number may arrive more than once.
        """
        expected = set(self.accepted())
        received: list[int] = []

        def drained() -> bool:
            received.extend(drain(broker, self.workspace))
            return expected <= set(received)

        eventually(f"all {len(expected)} numbers", drained, LATER)
        first_seen = list(dict.fromkeys(received))
        assert first_seen == sorted(first_seen)
        assert repeats or len(received) == len(first_seen)
        return received


PAUSE = 0.3
"""Seconds without a message after which `drain` returns. This decides nothing: callers drain again."""


def drain(broker: RabbitMQ, workspace: Workspace, trigger: str = "stream.number") -> list[int]:
    """Take the numbers that are in the rules engine's queue now; none if there is no queue."""
    queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
    numbers: list[int] = []
    with pika.BlockingConnection(parameters(broker.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1000)
        with suppress(ChannelClosedByBroker):
            waiting = channel.queue_declare(queue, passive=True).method.message_count
            for method, _, body in channel.consume(queue, inactivity_timeout=PAUSE) if waiting else ():
                if method is None:
                    break
                # Acknowledged one by one: a message that arrived here and was not read goes back into the queue.
                channel.basic_ack(method.delivery_tag)
                message = json.loads(body)
                if message["trigger"] == trigger:
                    numbers.append(message["payload"]["n"])
                waiting -= 1
                if not waiting:
                    break
    return numbers


class Received:
    """Takes the messages of all triggers from the rules engine's queue."""

    def __init__(self, broker: RabbitMQ, workspace: Workspace) -> None:
        self._broker = broker
        self._queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
        self._numbers: dict[str, list[int]] = {}
        self.ids: list[str] = []
        """The message_id of each message."""

    def of(self, trigger: str) -> list[int]:
        """Take the messages from the queue, and return all numbers of a trigger so far."""
        with pika.BlockingConnection(parameters(self._broker.url)) as connection:
            channel = connection.channel()
            while (found := channel.basic_get(self._queue, auto_ack=True))[0] is not None:
                message = json.loads(found[2])
                self.ids.append(found[1].message_id)
                self._numbers.setdefault(message["trigger"], []).append(message["payload"].get("n"))
        return self._numbers.get(trigger, [])


def dead_letters(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the dead letters that `st2sensor dead-letters list` prints."""
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "dead-letters", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
