"""Measures operations that people wait for: dispatch(), a reload, a save under `st2sensor dev`, a cron timer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from tests.bench.weight import median
from tests.plugins.patience import LATER, SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Listener, Seen, Workspace, complete, environment, forks

EVENTS = 1000

GREEDY = 32
"""Number of a neighbour's threads that dispatch all the time."""

TIMES = 8

AWAY = "amqp://guest:guest@127.0.0.1:1//"

TIMED = """
import json, os, time

class Timed(Sensor):
    def run(self):
        took = []
        for number in range({events}):
            began = time.perf_counter()
            self.sensor_service.dispatch("latency.number", {{"n": number}})
            took.append(time.perf_counter() - began)
        with open({path!r} + ".new", "w") as file:
            json.dump(took, file)
        os.rename({path!r} + ".new", {path!r})
"""

NEIGHBOUR = """
import threading

class Neighbour(Sensor):
    def run(self):
        for _ in range({threads}):
            threading.Thread(target=self.work, daemon=True).start()
        threading.Event().wait()

    def work(self):
        while True:
            self.sensor_service.dispatch("latency.noise", {{"x": "x" * 1000}})
"""

TICKER = """
class Ticker(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch("{pack}.tick", {{"version": {version}}})
"""


def report(workspace: Workspace) -> None:
    """Print a table."""
    away = Workspace(folder_in(workspace, "away"), database="sqlite://", messaging=AWAY)
    try:
        rows = {
            "dispatch(), broker connected": dispatches(workspace),
            "dispatch(), broker away": dispatches(away),
            f"dispatch(), next to {GREEDY} greedy threads": dispatches(workspace, greedy=True),
            "reload to the new code's first trigger": reloads(workspace),
            "dev: save to the new code's first trigger": saves(folder_in(workspace, "dev")),
            "cron timer, late by": cron(workspace),
        }
    finally:
        away.close()
    table = Table("seen from outside, or by the sensor", "min", "median", "p99", "max")
    for name, seconds in rows.items():
        ordered = sorted(seconds)
        figures = (ordered[0], median(ordered), ordered[int(0.99 * (len(ordered) - 1))], ordered[-1])
        table.add_row(name, *(f"{1000 * figure:.2f} ms" for figure in figures))
    Console(width=110).print(table)


def folder_in(workspace: Workspace, name: str) -> Path:
    folder = workspace.folder / name
    folder.mkdir()
    return folder


def dispatches(workspace: Workspace, *, greedy: bool = False) -> list[float]:
    """Return the times measured by a sensor that dispatches without a pause."""
    path = workspace.folder / ("greedy" if greedy else "alone")
    workspace.add_sensor(
        "latency", "Timed", TIMED.format(events=EVENTS, path=str(path)), trigger_types=[{"name": "number"}]
    )
    if greedy:
        code = NEIGHBOUR.format(threads=GREEDY)
        workspace.add_sensor("latency", "Neighbour", code, trigger_types=[{"name": "noise"}])
    workspace.reload()
    container = workspace.start()
    eventually("all are dispatched", path.exists, LATER)
    container.stop(LATER)
    shutil.rmtree(workspace.packs / "latency" / "sensors")
    took: list[float] = json.loads(path.read_text())
    return took


def reloads(workspace: Workspace) -> list[float]:
    """Return seconds from the end of a reload until the changed sensor's trigger arrives."""
    ticker(workspace, 0)
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    took = []
    for version in range(1, TIMES + 1):
        ticker(workspace, version)
        workspace.reload_well()
        began = time.monotonic()
        eventually(
            f"version {version}",
            lambda: any(seen.payload["version"] == version for seen in listener.of("latency.tick")),  # noqa: B023 (used up here)
        )
        took.append(time.monotonic() - began)
    container.stop()
    return took


def ticker(workspace: Workspace, version: int) -> None:
    code = TICKER.format(pack="latency", version=version)
    workspace.add_sensor("latency", "Ticker", code, poll_interval=0.2, trigger_types=[{"name": "tick"}])


def saves(folder: Path) -> list[float]:
    """Return seconds from a save until `st2sensor dev` shows a trigger of the new code."""
    sensors = folder / "sample" / "sensors"
    sensors.mkdir(parents=True)
    (folder / "sample" / "pack.yaml").write_text("name: sample\nversion: 1.0.0\n")
    metadata = {"class_name": "Ticker", "entry_point": "ticker.py", "poll_interval": 0.2}
    (sensors / "ticker.yaml").write_text(yaml.safe_dump({**metadata, "trigger_types": [{"name": "tick"}]}))
    save(sensors / "ticker.py", 0)
    output = folder / "output"
    with output.open("w") as file:
        process = forks().start(
            ["st2sensor", "dev", "sample"],
            cwd=folder,
            env={**environment("ignore"), "XDG_CACHE_HOME": str(folder)},
            stdout=file.fileno(),
            stderr=file.fileno(),
        )
    took = []
    for version in range(TIMES):
        save(sensors / "ticker.py", version)
        began = time.monotonic()
        eventually(f"version {version}", lambda: f'"version": {version}}}' in output.read_text())  # noqa: B023 (used up here)
        took.append(time.monotonic() - began)
    process.send_signal(signal.SIGINT)
    process.wait(SOON)
    return took[1:]


def save(path: Path, version: int) -> None:
    """Write a file as an editor does: under another name first."""
    new = path.with_suffix(".new")
    new.write_text(complete(TICKER.format(pack="sample", version=version)))
    os.replace(new, path)


def cron(workspace: Workspace) -> list[float]:
    """Return how many seconds after its due time a timer's event arrives."""
    workspace.configure("[timers]\nenable = true")
    workspace.add_rule("latency", "seconds", "core.st2.CronTimer", second="*")
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    late = []
    for count in range(1, TIMES + 1):
        eventually(
            f"{count} seconds",
            lambda: len(timer_events(listener)) >= count,  # noqa: B023 (used up here)
        )
        late.append(time.time() % 1)
    container.stop()
    # The first event may be for a second that has passed.
    return late[1:]


def timer_events(listener: Listener) -> list[Seen]:
    """Triggers of rules are named without the prefix of a type."""
    return [seen for seen in listener.seen if seen.trigger.startswith("core.") and "st2" not in seen.trigger]
