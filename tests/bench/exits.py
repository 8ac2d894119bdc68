"""Measures how soon a sensor's exit is logged and announced, and how soon the sensor runs again."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.bench.weight import median
from tests.support.workspace import Workspace

SENSORS = 20

EXITED = "core.st2.sensor.process_exit"

CODE = """
import time

class {name}(Sensor):
    def setup(self):
        self.sensor_service.dispatch("exits.up", {{"name": "{name}"}})
    def run(self):
        time.sleep(1000)
"""


def report(workspace: Workspace) -> None:
    """Kill each sensor once, and print a table."""
    for number in range(SENSORS):
        name = f"Mortal{number}"
        workspace.add_sensor("exits", name, CODE.format(name=name), trigger_types=[{"name": "up"}])
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("exits.up", SENSORS, timeout=60)
    logged, announced, again = [], [], []
    for count, process in enumerate(container.wrappers().values(), start=1):
        began = time.monotonic()
        process.kill()
        logged.append(since(began, lambda: container.log.count(" ended with signal SIGKILL"), count))
        announced.append(since(began, lambda: len(listener.of(EXITED)), count))
        again.append(since(began, lambda: len(listener.of("exits.up")), SENSORS + count))
    container.stop()
    table = Table("after kill -9", "min", "median", "max", title=f"{SENSORS} sensors, each killed once, on RabbitMQ")
    for name, values in (("logged", logged), ("announced, seen by pika", announced), ("in setup() again", again)):
        table.add_row(name, *(f"{1000 * value:.0f} ms" for value in (min(values), median(values), max(values))))
    Console(width=110).print(table)


def since(began: float, seen: Callable[[], int], count: int) -> float:
    """Return the seconds until a number of them were seen."""
    while seen() < count:
        time.sleep(0.001)
        assert time.monotonic() - began < 60
    return time.monotonic() - began
