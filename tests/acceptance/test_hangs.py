"""Hangs are seen: what a sensor is in, since when, and when it was last heard of. A healthy one is never among them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from st2sensor.portable import isotime
from tests.acceptance.test_status import Page, sample
from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

WAITS = """
import time

class Waits(PollingSensor):
    def poll(self):
        time.sleep(100000)
"""

HEARS = """
import time

class Hears(Sensor):
    def run(self):
        time.sleep(100000)
    def add_trigger(self, trigger):
        time.sleep(100000)
"""

SETS_UP = """
import time

class SetsUp(Sensor):
    def setup(self):
        time.sleep(100000)
"""

FROZEN = """
import os, signal

class Frozen(PollingSensor):
    def poll(self):
        os.kill(os.getpid(), signal.SIGSTOP)
"""

HEALTHY = """
class Healthy(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch("p.up", {})
        self.sensor_service.set_value("polled", "yes")
"""

IDLE = """
import time

class Idle(Sensor):
    def run(self):
        time.sleep(100000)
"""

HANGING = {"p.Waits": "poll()", "p.Hears": "add_trigger()", "p.SetsUp": "setup()", "p.Frozen": "poll()"}


def command(workspace: Workspace, *words: str) -> str:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_hangs_is_seen_everywhere_and_nothing_is_killed(embedded: Workspace) -> None:
    page = Page(embedded)
    for name, code in {"Waits": WAITS, "Frozen": FROZEN, "Healthy": HEALTHY}.items():
        embedded.add_sensor("p", name, code, poll_interval=0.5, trigger_types=[{"name": "up"}])
    for name, code in {"SetsUp": SETS_UP, "Idle": IDLE}.items():
        embedded.add_sensor("p", name, code)
    embedded.add_sensor("p", "Hears", HEARS, trigger_types=[{"name": "heard"}])
    embedded.add_rule("p", "asks", "p.heard", x=1)
    embedded.reload_well()
    container = embedded.start()

    def hanging() -> dict[str, Any]:
        reports = json.loads(command(embedded, "list", "--json"))
        return {report["ref"]: report["hang"] for report in reports if report["hang"] is not None}

    found = eventually("all hang", lambda: found if len(found := hanging()) >= len(HANGING) else {}, LATER)
    assert {ref: hang["what"] for ref, hang in found.items()} == HANGING
    for hang in found.values():
        heard, since = (isotime.parse(hang[name]) for name in ("heard", "since"))
        assert heard >= since - timedelta(seconds=1)

    assert "in poll() for" in command(embedded, "list")
    shown = command(embedded, "show", "p.Frozen")
    assert "in poll() for" in shown
    assert "last sign of life" in shown
    assert "hangs" not in command(embedded, "show", "p.Healthy")
    note = "p.Frozen, p.Hears, p.SetsUp and 1 more hang; st2sensor show p.Frozen says where"
    assert note in command(embedded, "top", "--once")
    status, body = page.get("/ready")
    assert (status, json.loads(body)["notes"]) == (200, [note])
    seconds = page.metrics()["st2sensor_sensor_hang_seconds"]
    assert {ref for ref in [*HANGING, "p.Healthy", "p.Idle"] if sample(seconds, sensor=ref) > 0} == set(HANGING)
    container.wait_for_log("p.SetsUp hangs: it has been in setup() for")

    assert "p.Healthy hangs" not in container.log
    assert "p.Idle hangs" not in container.log
    assert container.log.count(" started, pid ") == len(HANGING) + 2
