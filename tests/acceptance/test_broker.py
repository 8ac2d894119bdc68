"""A broker that blocks its publishers, or falls silent: every report says so, and no command waits for it."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.plugins.patience import LATER, SOON
from tests.support.servers import rabbitmq
from tests.support.servers.amqp import FakeBroker
from tests.support.servers.ports import free_port
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

TICKS = """
class Ticks(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch("p.tick", {})
"""

TYPES = [{"name": "tick", "parameters_schema": {"type": "object", "properties": {"x": {"type": "string"}}}}]

BLOCKS = "blocks its publishers"


@pytest.fixture
def alarmed(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A server of its own, since an alarm is everybody's."""
    if rabbitmq.executable() is None:
        missing("no RabbitMQ: as root, make test installs Debian's rabbitmq-server")
    server = RabbitMQ(tmp_path)
    server.start()
    yield server
    server.stop()


def ready(port: int) -> tuple[int, dict[str, Any]]:
    """The status of /ready, and the check of the broker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=SOON) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            status, text = refusal.code, refusal.read()
    (check,) = [check for check in json.loads(text)["checks"] if check["name"] == "broker"]
    return status, check


def run(workspace: Workspace, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, which has to end soon."""
    return workspace.run(command, "--config-file", str(workspace.config), *arguments, timeout=SOON)


def publish(workspace: Workspace) -> list[tuple[int, str]]:
    """Run each command that publishes, and return its exit code and its words.

    Most run at once: each waits for the broker for some seconds.
    """
    workspace.add_sensor("q", "Other", TICKS.replace("Ticks", "Other").replace("p.tick", "q.tick"), poll_interval=1)
    recorded = workspace.folder / "recorded"
    event = {"trigger": "p.tick", "trigger_type": "p.tick", "payload": {}, "time": "2026-01-01T00:00:00Z"}
    recorded.write_text(json.dumps({**event, "trace_context": None, "message_id": None}) + "\n")

    def words(command: tuple[str, ...]) -> tuple[int, str]:
        done = run(workspace, *command)
        return done.returncode, f"{command}: {done.stdout}{done.stderr}"

    # This one registers the sensor that another disables.
    first = words(("st2ctl", "reload", "--register-all"))
    others = [
        ("st2sensor", "key", "set", "name", "value"),
        ("st2sensor", "triggers", "add", "p.tick", "x=one"),
        ("st2sensor", "replay", str(recorded), "--force"),
        ("st2sensor", "disable", "q.Other"),
    ]
    with ThreadPoolExecutor() as pool:
        return [first, *pool.map(words, others)]


@pytest.mark.soak
def test_a_broker_with_an_alarm_is_told_and_recovers(folder: Path, alarmed: RabbitMQ) -> None:
    workspace, port = Workspace(folder, database="sqlite://", messaging=alarmed.url), free_port()
    workspace.configure(f"http = 127.0.0.1:{port}\n")
    workspace.add_sensor("p", "Ticks", TICKS, poll_interval=0.1, trigger_types=TYPES)
    workspace.reload_well()
    with closing(workspace):
        container = workspace.start()
        container.wait_for_log("the status page is at")
        eventually("the broker is well", lambda: ready(port)[1]["ok"])
        alarmed.control("set_vm_memory_high_watermark", "0.0000001")
        container.wait_for_log(BLOCKS)
        eventually("it is told", lambda: BLOCKS in ready(port)[1]["reason"])
        status, check = ready(port)
        assert status == 503
        assert "memory" in check["reason"]
        assert BLOCKS in run(workspace, "st2sensor", "list").stderr
        assert BLOCKS in " ".join(run(workspace, "st2sensor", "top", "--once").stdout.split())
        for code, said in publish(workspace):
            assert BLOCKS in said or "has not confirmed" in said or "warning" not in said, said
            assert code in (0, 69), said
        alarmed.control("set_vm_memory_high_watermark", "0.6")
        eventually("the broker is well again", lambda: ready(port)[1]["ok"], LATER)
        container.wait_for_log("accepts messages again")
        assert run(workspace, "st2sensor", "list").stderr == ""
        assert container.stop() == 0


@pytest.mark.soak
def test_a_silent_broker_holds_no_command_and_is_told(folder: Path) -> None:
    with closing(FakeBroker("channel", noise=True)) as broker:
        workspace = Workspace(folder, database="sqlite://", messaging=broker.url)
        workspace.has_consumer = False
        workspace.configure("[messaging]\nconnection_retry_wait = 100\n")
        workspace.add_sensor("p", "Ticks", TICKS, poll_interval=1, trigger_types=TYPES)
        assert "cannot reach the broker at amqp://guest:**@" in workspace.reload().stderr
        with closing(workspace):
            container = workspace.start()
            container.wait_for_log("cannot reach the broker at amqp://guest:**@")
            before = broker.connections
            eventually("it is tried again", lambda: broker.connections > before + 2)
            assert "cannot reach the broker" in run(workspace, "st2sensor", "list").stderr
            for code, said in publish(workspace):
                assert "cannot reach the broker at amqp://guest:**@" in said
                assert code in (0, 69)
                assert "hush" not in said
            assert container.stop() == 0
            assert "hush" not in container.log
