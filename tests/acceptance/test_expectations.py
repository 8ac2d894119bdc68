"""Sensors that fail without a word: real processes that look well, and are reported within two expected intervals."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.acceptance.test_overrides import override
from tests.acceptance.test_status import Page, sample
from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

REVOKED = """
class Revoked(PollingSensor):
    def poll(self):
        # The server answers a revoked token with an empty list.
        for item in []:
            self.sensor_service.dispatch("p.seen", {"item": item})
"""

SWALLOWS = """
class Swallows(PollingSensor):
    def poll(self):
        try:
            raise RuntimeError("no luck")
        except Exception:
            pass
"""

FROZEN = """
class Frozen(PollingSensor):
    def poll(self):
        if self.sensor_service.get_value("cursor") != "7":
            self.sensor_service.set_value("cursor", "7")
"""

DEAD_THREAD = """
import threading, time

class DeadThread(Sensor):
    def run(self):
        threading.Thread(target=lambda: None).start()
        time.sleep(100000)
"""

HANGS = """
import time

class Hangs(PollingSensor):
    def poll(self):
        time.sleep(100000)
"""

RAISES = """
class Raises(PollingSensor):
    def poll(self):
        raise RuntimeError("no luck")
"""

WELL = """
class Well(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch("p.up", {})
"""

SILENT = {
    "p.Revoked": "no event within 4s",
    "p.Swallows": "no event within 4s",
    "p.Frozen": "no event within 4s",
    "p.DeadThread": "no event within 4s",
    "p.Hangs": "no event within 4s, no poll has succeeded within 4s",
    "p.Raises": "no event within 4s, no poll has succeeded within 4s",
}


def overrides(within: str) -> str:
    both, event = f"{{event: {within}, poll: {within}}}", f"{{event: {within}}}"
    return f"st2sensor: {{defaults: {{expect: {both}}}, exceptions: {{DeadThread: {{expect: {event}}}}}}}\n"


def command(workspace: Workspace, *words: str) -> Any:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def troubles(workspace: Workspace) -> dict[str, str]:
    listed = command(workspace, "list", "--json")
    found = {report["ref"]: report["troubles"] for report in listed}
    return {ref: item["text"] for ref, items in found.items() for item in items if item["kind"] == "silent"}


def emitted(workspace: Workspace, trigger: str) -> list[str]:
    return sorted(event["payload"]["sensor"] for event in command(workspace, "events", "--trigger", trigger, "--json"))


@pytest.mark.soak
def test_sensors_that_fail_without_a_word_are_reported_once_across_a_restart(embedded: Workspace) -> None:
    page = Page(embedded)
    codes = {"Revoked": REVOKED, "Swallows": SWALLOWS, "Frozen": FROZEN, "Hangs": HANGS, "Raises": RAISES, "Well": WELL}
    for name, code in codes.items():
        types = [{"name": "up"}] if name == "Well" else [{"name": "seen"}] if name == "Revoked" else []
        embedded.add_sensor("p", name, code, poll_interval=0.5, trigger_types=types)
    embedded.add_sensor("p", "DeadThread", DEAD_THREAD)
    override(embedded, "p", overrides("4s"))
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("p.Well started")
    eventually("all are silent", lambda: troubles(embedded) == SILENT, LATER)

    _, ready = page.get("/ready")
    assert "silent" in ready
    silent = page.metrics()["st2sensor_sensor_silent"]
    assert [sample(silent, sensor=ref) for ref in ("p.Revoked", "p.Well")] == [1.0, 0.0]
    shown = command(embedded, "show", "p.Raises", "--json")
    assert shown["last_poll"]["failed"]
    assert shown["failed_polls"] >= 1
    assert not command(embedded, "show", "p.Revoked", "--json")["failed_polls"]
    eventually("each is told", lambda: emitted(embedded, "core.st2.sensor.silent") == sorted(SILENT), LATER)

    container.stop()
    restarted = embedded.start()
    restarted.wait_for_log("p.Well started")
    eventually("all are silent", lambda: troubles(embedded) == SILENT, LATER)
    began = time.monotonic()
    eventually("an expected interval passes", lambda: time.monotonic() - began > 5, LATER)
    assert emitted(embedded, "core.st2.sensor.silent") == sorted(SILENT)
    assert emitted(embedded, "core.st2.sensor.heard") == []

    override(embedded, "p", overrides("10m"))
    embedded.reload_well()
    eventually("each is told", lambda: emitted(embedded, "core.st2.sensor.heard") == sorted(SILENT), LATER)
    assert troubles(embedded) == {}
