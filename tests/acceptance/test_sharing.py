"""Containers of one host that share sensors: killed, paused, stopped in order, and cut off from what they need.

Each sensor writes down when it is set up, polls and is cleaned up, by a clock that all processes share.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from st2sensor.sharing.clocks import boottime
from tests.conftest import missing
from tests.plugins.patience import AT_LAST, FACTOR, LATER
from tests.support.servers import mongodb
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.process import alive
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

LEASE = min(3.0 * FACTOR, 10.0)
"""Seconds: a container that is well renews it in time, on a slow machine too."""

NAMES = [f"S{number}" for number in range(9)]
REFS = {f"p.{name}" for name in NAMES}

COUNTS = """
import json
import os
import time

JOURNAL = {journal!r}

class {name}(PollingSensor):
    def __init__(self, sensor_service, config=None, poll_interval=0.3):
        super().__init__(sensor_service, config, poll_interval)

    def setup(self):
        self.note("setup")

    def poll(self):
        last = self.sensor_service.get_value("n")
        n = int(last or 0) + 1
        payload = dict(sensor="{name}", fence=self.sensor_service.fence, n=n)
        if self.sensor_service.dispatch_and_set([("p.counted", payload)], "n", n, expected=last):
            self.note("poll", n)

    def cleanup(self):
        self.note("cleanup")

    def note(self, event, n=None):
        line = dict(event=event, sensor="{name}", fence=self.sensor_service.fence, pid=os.getpid(), n=n,
                    at=time.clock_gettime(time.CLOCK_BOOTTIME))
        with open(JOURNAL, "a") as file:
            file.write(json.dumps(line) + "\\n")
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a sensor wrote down."""

    event: str
    sensor: str
    fence: int | None
    pid: int
    n: int | None
    at: float


class Nodes:
    """Containers that share the sensors of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.journal = workspace.folder / "journal"
        self.journal.touch()
        for name in NAMES:
            workspace.add_sensor("p", name, COUNTS.format(name=name, journal=str(self.journal)), trigger_types=TYPES)

    def share_out(self, *names: str, lease: float = LEASE) -> list[Container]:
        """Start containers, and register the sensors once all are there: each has its share without a move."""
        containers = [self.start(name, lease) for name in names]
        for container in containers:
            container.wait_for_log("shares sensors as")
        self.workspace.reload_well()
        self.wait_shared_out(*containers)
        return containers

    def start(self, name: str, lease: float = LEASE) -> Container:
        options = f"resync_interval = 0.5\nsensor_node_name = {name}\npartition_provider = name:shared\n"
        self.workspace.configure(f"{options}lease = {lease:g}\n")
        text = self.workspace.config.read_text().replace("state_dir = state", f"state_dir = {name}")
        text = text.replace("connection = sqlite://\n", "connection = sqlite:///state/st2.db\n")
        path = self.workspace.folder / f"{name}.conf"
        path.write_text(text)
        return self.workspace.start("--config-file", str(path))

    def lines(self) -> list[Line]:
        return [Line(**json.loads(line)) for line in self.journal.read_text().splitlines()]

    def holders(self) -> dict[str, int]:
        """Process by sensor, of its newest life."""
        return {line.sensor: line.pid for line in self.lines() if line.event == "setup"}

    def wait_shared_out(self, *containers: Container) -> None:
        """Each sensor runs in one of them, and each of them has some."""
        eventually(
            "the sensors are shared out",
            lambda: all_run(*containers) and all(container.wrappers() for container in containers),
            LATER,
        )

    def check(self) -> None:
        """No two lives of a sensor overlap, and each n was counted under one fence, without a hole."""
        for name in NAMES:
            lines = [line for line in self.lines() if line.sensor == name]
            lives: dict[int, list[Line]] = {}
            for line in lines:
                lives.setdefault(line.pid, []).append(line)
            for before, after in zip(lives.values(), list(lives.values())[1:], strict=False):
                assert before[-1].at < after[0].at, name
                assert (before[-1].fence or 0) <= (after[0].fence or 0), name
            counted = [line.n for line in lines if line.event == "poll"]
            # A life that ended before it could write it down has counted one more.
            assert counted == sorted(set(counted), key=lambda n: n or 0), name


TYPES = [{"name": "counted", "payload_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}]


def all_run(*containers: Container) -> bool:
    """Whether each sensor runs in one of them."""
    running = [ref for container in containers for ref in container.wrappers()]
    return len(running) == len(REFS) and set(running) == REFS


def check_events(payloads: list[dict[str, Any]]) -> None:
    """Every event came once, in the order of its sensor's cursor, and under a fence that only grew."""
    for name in NAMES:
        mine = {int(payload["n"]): int(payload["fence"]) for payload in payloads if payload["sensor"] == name}
        assert sorted(mine) == list(range(1, len(mine) + 1)), name
        assert sorted(mine.values()) == [mine[n] for n in sorted(mine)], name


@pytest.fixture
def nodes(served: Workspace) -> Nodes:
    return Nodes(served)


def test_a_container_that_is_killed_is_replaced(nodes: Nodes) -> None:
    listener = nodes.workspace.listen()
    one, two = nodes.share_out("one", "two")
    lost = set(one.wrappers())
    one.process.kill()
    killed_at = boottime()
    eventually("the other one runs them all", lambda: set(two.wrappers()) == REFS)
    eventually("they are set up", lambda: since(nodes, killed_at, lost))
    # What it had accepted and not delivered waits in its outbox until it starts again.
    one = nodes.start("one")
    one.wait_for_log("shares sensors as")
    one.wait_for_log("connected to")
    for container in (one, two):
        assert container.stop() == 0
    nodes.check()
    eventually("what was dispatched is here", lambda: len(listener.of("p.counted")) >= last_numbers(nodes))
    check_events(distinct(listener.of("p.counted")))


def test_one_that_starts_again_after_a_kill_has_its_sensors_back_before_its_lease_is_over(nodes: Nodes) -> None:
    (one,) = nodes.share_out("one", lease=10 * AT_LAST)
    one.process.kill()
    one.process.wait()
    again = nodes.start("one", lease=10 * AT_LAST)
    again.wait_for_log("took 9 sensors")
    eventually("it runs them all", lambda: set(again.wrappers()) == REFS)
    assert "counts as dead" not in again.log
    assert again.stop() == 0
    nodes.check()


@pytest.mark.soak
def test_a_paused_container_s_sensors_are_killed_before_another_one_runs_them(nodes: Nodes) -> None:
    listener = nodes.workspace.listen()
    one, two = nodes.share_out("one", "two")
    lost = {ref: process.pid for ref, process in one.wrappers().items()}
    one.process.send_signal(signal.SIGSTOP)
    eventually("the other one runs them all", lambda: set(two.wrappers()) == REFS)
    assert not [pid for pid in lost.values() if alive(pid)]
    one.process.send_signal(signal.SIGCONT)
    one.wait_for_log("this container was taken for dead")
    assert "keeps failing" not in one.log
    nodes.wait_shared_out(one, two)
    eventually("it has its sensors back", lambda: set(one.wrappers()) == set(lost))
    for container in (one, two):
        assert container.stop() == 0
        assert "Traceback" not in container.log
    nodes.check()
    eventually("what was dispatched is here", lambda: len(listener.of("p.counted")) >= last_numbers(nodes))
    check_events(distinct(listener.of("p.counted")))


def test_an_orderly_stop_hands_over_what_is_cleaned_up(workspace: Workspace) -> None:
    nodes = Nodes(workspace)
    one, two = nodes.share_out("one", "two", lease=3 * LEASE)
    handed = set(one.wrappers())
    stopped_at = boottime()
    assert one.stop() == 0
    lines = eventually("the other one runs them all", lambda: since(nodes, stopped_at, handed))
    for ref in handed:
        mine = [line for line in lines if f"p.{line.sensor}" == ref]
        end = max(line.at for line in mine if line.event == "cleanup")
        assert [line for line in mine if line.event == "setup" and line.at > end], ref
    # It was given them: nobody took them for the sensors of the dead.
    assert "counts as dead" not in two.log
    assert two.stop() == 0
    nodes.check()


def test_a_rolling_restart_keeps_every_sensor_running(nodes: Nodes) -> None:
    listener = nodes.workspace.listen()
    names = ["one", "two", "three"]
    running = dict(zip(names, nodes.share_out(*names), strict=True))
    for name in names:
        assert running[name].stop() == 0
        others = [container for other, container in running.items() if other != name]
        eventually("the others run them all", lambda others=others: all_run(*others))  # type: ignore[misc]
        running[name] = nodes.start(name)
        running[name].wait_for_log("shares sensors as")
    nodes.wait_shared_out(*running.values())
    for container in running.values():
        assert container.stop() == 0
    nodes.check()
    eventually("what was dispatched is here", lambda: len(listener.of("p.counted")) >= last_numbers(nodes))
    check_events(distinct(listener.of("p.counted")))


def test_alone_it_behaves_as_the_default_provider_does(workspace: Workspace) -> None:
    nodes = Nodes(workspace)
    (only,) = nodes.share_out("only")
    config = str(workspace.folder / "only.conf")
    workspace.run("st2sensor", "--config-file", config, "disable", "p.S1")
    eventually("one is disabled", lambda: set(only.wrappers()) == REFS - {"p.S1"})
    workspace.run("st2sensor", "--config-file", config, "enable", "p.S1")
    eventually("and enabled", lambda: set(only.wrappers()) == REFS)
    pid = only.wrappers()["p.S2"].pid
    only.wrappers()["p.S2"].kill()
    eventually("a sensor that is killed starts again", lambda: only.wrappers().get("p.S2", NOBODY).pid not in (0, pid))
    assert only.stop() == 0


@dataclass(frozen=True)
class Process:
    pid: int


NOBODY: Any = Process(0)


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[MongoDB]:
    if mongodb.executable() is None:
        missing("no mongod: install tests/requirements.txt, or put a mongod on PATH")
    server = MongoDB(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.mark.soak
def test_while_the_database_is_away_sensors_run_as_long_as_their_lease_and_then_stop(
    folder: Path, own_mongo: MongoDB, rabbit_server: RabbitMQ
) -> None:
    workspace = Workspace(folder, database=own_mongo.url, messaging=rabbit_server.url)
    nodes = Nodes(workspace)
    try:
        # A tenth of the lease is what sensors have to clean up.
        one, two = nodes.share_out("one", "two", lease=3 * LEASE)
        own_mongo.stop()
        stopped_at = boottime()
        for container in (one, two):
            eventually("its sensors stop", lambda: not container.wrappers())  # noqa: B023 (used up here)
            container.wait_for_log("leases cannot be renewed")
        ends = [line for line in nodes.lines() if line.event == "cleanup" and line.at > stopped_at]
        assert sorted(line.sensor for line in ends) == NAMES
        own_mongo.start()
        eventually("they run again", lambda: all_run(one, two))
        for container in (one, two):
            assert container.stop() == 0
        nodes.check()
    finally:
        workspace.close()


def since(nodes: Nodes, moment: float, refs: set[str]) -> list[Line]:
    """What was written down since a moment, once all of some sensors are set up again."""
    lines = [line for line in nodes.lines() if line.at > moment]
    return lines if {f"p.{line.sensor}" for line in lines if line.event == "setup"} >= refs else []


def last_numbers(nodes: Nodes) -> int:
    """How many events there are, or one more of each sensor."""
    return sum(max((line.n or 0 for line in nodes.lines() if line.sensor == name), default=0) for name in NAMES)


def distinct(seen: list[Any]) -> list[dict[str, Any]]:
    """Payloads, those that came again under their message_id once."""
    return list({message.message_id: message.payload for message in seen}.values())
