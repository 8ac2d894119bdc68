"""The healthy sensor, and the conditions that it must meet whatever its neighbours do."""

from __future__ import annotations

from itertools import pairwise

import psutil

from tests.hostile.case import SECRET, Case, shown
from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Listener, Workspace

HEALTHY = """
import time

class Healthy(Sensor):
    def run(self):
        n = 0
        while True:
            self.sensor_service.dispatch("healthy.count", {"n": n, "at": time.time()})
            n += 1
            time.sleep(0.2)

    def cleanup(self):
        self.sensor_service.get_logger("end").warning("the neighbour has cleaned up")
"""

WHILE = 10
"""Number of the neighbour's events after the hostile case was noticed."""

MOST_GROWTH = 50e6
"""Maximum growth of the container's memory, in bytes."""


def live_beside(workspace: Workspace, case: Case) -> float:
    """Run the healthy sensor next to a hostile case. Fails if the healthy sensor is harmed.

    Returns its longest silence in seconds.
    """
    workspace.add_sensor("healthy", "Healthy", HEALTHY, trigger_types=[{"name": "count"}])
    case.prepare(workspace)
    registered = workspace.reload()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("healthy.count", 3)
    before = psutil.Process(container.process.pid).memory_info().rss
    case.act(workspace, container)
    case.wait_until_said(workspace, container, registered.stdout + registered.stderr)
    seen = len(listener.of("healthy.count"))
    listener.wait_for("healthy.count", seen + WHILE, LATER)
    printed = shown(workspace)
    assert "healthy.Healthy" in printed
    process = psutil.Process(container.process.pid)
    eventually("its memory is as before", lambda: process.memory_info().rss - before < MOST_GROWTH)
    _ends(container)
    printed += registered.stdout + registered.stderr + container.log
    assert SECRET not in printed
    return _longest_silence(listener)


def _ends(container: Container) -> None:
    assert container.stop(LATER) == 0, container.log[-2000:]
    assert "the neighbour has cleaned up" in container.log


def _longest_silence(listener: Listener) -> float:
    payloads = [item.payload for item in listener.of("healthy.count")]
    numbers = [payload["n"] for payload in payloads]
    assert numbers == list(range(len(numbers))), "the neighbour lost an event, or repeated one"
    silence: float = max(later["at"] - earlier["at"] for earlier, later in pairwise(payloads))
    return silence
