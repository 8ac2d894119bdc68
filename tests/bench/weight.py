"""What idle sensors weigh and how fast they start, beside a bare Python process."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
from rich.console import Console
from rich.table import Table

from tests.servers.waiting import eventually
from tests.workspace import Container, Workspace

SENSORS = 20

SETTLE = 2.0
"""Seconds between the last setup() and the weighing, in which start-up garbage goes."""

IDLE = """
import os
import time


class {name}(Sensor):
    def setup(self):
        with open(os.path.join({folder!r}, "{name}"), "w") as file:
            file.write(str(time.time()))

    def run(self):
        while True:
            time.sleep(1000)
"""

BARE = [sys.executable, "-c", "import time; time.sleep(99)"]


def report(workspace: Workspace) -> None:
    """Print a table."""
    marks = workspace.folder / "marks"
    marks.mkdir()
    for number in range(SENSORS):
        name = f"Idle{number}"
        workspace.add_sensor("bench", name, IDLE.format(name=name, folder=str(marks)))
    workspace.reload_well()
    bare_pss, bare_start = bare()

    began = time.time()
    container = workspace.start()
    eventually("all sensors are in setup()", lambda: len(list(marks.iterdir())) == SENSORS, timeout=120)
    in_setup = max(float(mark.read_text()) for mark in marks.iterdir()) - began
    time.sleep(SETTLE)
    sensors = sorted(pss(process) for process in container.wrappers().values())
    assert len(sensors) == SENSORS

    table = Table("what", "st2sensor", "bare Python process", "StackStorm", title=f"{SENSORS} idle sensors")
    table.add_row("memory of a sensor, PSS", f"{sensors[SENSORS // 2]:.1f} MB", f"{bare_pss:.1f} MB", "55 MB")
    table.add_row("memory of the heaviest sensor, PSS", f"{sensors[-1]:.1f} MB", "", "")
    table.add_row("memory of the container, RSS", f"{container_rss(container):.1f} MB", "", "")
    table.add_row("from start until all are in setup()", f"{in_setup:.1f} s", f"{bare_start:.1f} s", "12 s")
    Console(width=110).print(table)


def bare() -> tuple[float, float]:
    """The median PSS in MB of as many bare processes, and the seconds that starting them took."""
    began = time.time()
    processes = [subprocess.Popen(BARE) for _ in range(SENSORS)]
    eventually(
        "all sleep", lambda: all(psutil.Process(item.pid).num_ctx_switches().voluntary > 0 for item in processes)
    )
    took = time.time() - began
    time.sleep(SETTLE)
    weights = sorted(pss(psutil.Process(item.pid)) for item in processes)
    for item in processes:
        item.kill()
        item.wait()
    return weights[SENSORS // 2], took


def pss(process: psutil.Process) -> float:
    """MB."""
    weight: int = process.memory_full_info().pss
    return weight / 1e6


def container_rss(container: Container) -> float:
    """MB."""
    rss: int = psutil.Process(container.process.pid).memory_info().rss
    return rss / 1e6
