"""Compares the memory, the start and the stop of idle sensors with bare processes of the same interpreter."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Row, Sample
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

COUNTS = (1, 20, 200, 1000)

SETTLE = 3.0
"""Seconds between the last setup() and the measurement, in which start-up garbage is freed."""

IDLE_FOR = 10.0
"""Seconds for which the processor time of idle sensors is counted."""

CODE = """
import os
import time


class {name}(Sensor):
    def setup(self):
        self.mark("up")

    def run(self):
        while True:
            time.sleep(1000)

    def cleanup(self):
        self.mark("down")

    def mark(self, what):
        os.close(os.open(os.path.join({folder!r}, what, "{name}"), os.O_CREAT))
"""

FORKING = """
import os, signal, sys
for _ in range(int(sys.argv[1])):
    if not (pid := os.fork()):
        signal.pause()
    print(pid, flush=True)
signal.pause()
"""

BARE = [sys.executable, "-c", "import time; time.sleep(99)"]


@dataclass(frozen=True, kw_only=True)
class Weight:
    """The cost of a number of sensors.

    :param up: seconds from the container's start until all are in setup().
    :param spent: seconds of processor time from the container's start, of all processes together.
    :param pss: MB of the median sensor; `own`: those that it shares with no other process.
    :param container: MB of the container, RSS.
    :param idle: percent of one core, of all processes together.
    :param down: seconds from the container's SIGTERM until the last cleanup() and exit.
    :param cleanups: how many sensors had their cleanup() called.
    """

    up: float
    spent: float
    pss: float
    own: float
    container: float
    idle: float
    down: float
    cleanups: int


@dataclass(frozen=True, kw_only=True)
class Bare:
    """The cost of as many bare processes: seconds in all, milliseconds of processor time each, MB of the median."""

    up: float
    cpu: float
    pss: float


FEW, MANY = 200, 1000

ROWS = (
    Row(key="pss", title=f"PSS of a sensor, {FEW} sensors", unit="MB", goal=2.0, limit="forked_pss"),
    Row(key="own", title=f"private memory of a sensor, {FEW} sensors", unit="MB"),
    Row(key="imports_pss", title="PSS of a sensor with the usual imports", unit="MB"),
    Row(key="up", title=f"{MANY} sensors up", unit="s", goal=4, limit="forked_up"),
    Row(key="start_cpu", title="CPU of a start", unit="ms", goal=2.5, limit="forked_cpu"),
)

USUAL = "import datetime, hashlib, json, logging, random, re, socket, threading, urllib.parse, urllib.request\n"
"""The modules of the standard library that sensors import most."""


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other."""
    fleets = [Fleet(workspace, FEW), Fleet(workspace, FEW, imports=USUAL), Fleet(workspace, MANY)]
    alone = Fleet(workspace, 1)
    while True:
        few, importing, many, one = (fleet.measure(idle_for=0) for fleet in (*fleets, alone))
        forked = bare(MANY, forking)
        yield {
            "pss": few.pss,
            "own": few.own,
            "imports_pss": importing.pss,
            "up": many.up,
            "start_cpu": 1000 * (many.spent - one.spent) / (MANY - 1),
            "forked_pss": forked.pss,
            "forked_up": forked.up,
            "forked_cpu": forked.cpu,
        }


def report(workspace: Workspace) -> None:
    """Print a table."""
    columns = ["sensors", "up in", "CPU a start", "PSS each", "container", "idle CPU", "stopped in", "cleanups"]
    table = Table(*columns, title="trivial sensors, on RabbitMQ and MongoDB")
    # The container and its first zygote need time for themselves, which is not a sensor's start.
    alone: float | None = None
    for count in COUNTS:
        forked, executed = bare(count, forking), bare(min(count, 200), executing)
        weight = Fleet(workspace, count).measure(idle_for=IDLE_FOR)
        alone = weight.spent if alone is None else alone
        a_start = f"{(weight.spent - alone) / (count - 1) * 1000:.1f} ms" if count > 1 else ""
        table.add_row(
            str(count),
            f"{weight.up:.2f} s",
            a_start,
            f"{weight.pss:.2f} MB",
            f"{weight.container:.0f} MB",
            f"{weight.idle:.2f} %",
            f"{weight.down:.2f} s",
            str(weight.cleanups),
        )
        table.add_row("  os.fork() alone", *_row(forked), style="dim")
        table.add_row("  python -c, at most 200", *_row(executed), style="dim", end_section=True)
    Console(width=120).print(table)


def _row(weight: Bare) -> tuple[str, str, str]:
    return f"{weight.up:.2f} s", f"{weight.cpu:.1f} ms", f"{weight.pss:.2f} MB"


class Fleet:
    """A pack of its own with a number of sensors, which is registered only while it is measured.

    :param imports: the first lines of each sensor's code.
    """

    def __init__(self, workspace: Workspace, count: int, imports: str = "") -> None:
        self._workspace = workspace
        self._count = count
        self._pack = f"bench{count}{'importing' if imports else ''}"
        self._marks = workspace.folder / self._pack
        self._code = imports + CODE

    def measure(self, *, idle_for: float) -> Weight:
        """Start the sensors, measure them, and stop them.

        :param idle_for: seconds for which their processor time is counted while they are idle.
        """
        for kind in ("up", "down"):
            shutil.rmtree(self._marks / kind, ignore_errors=True)
            (self._marks / kind).mkdir(parents=True)
        for number in range(self._count):
            name = f"Idle{number}"
            code = self._code.format(name=name, folder=str(self._marks))
            self._workspace.add_sensor(self._pack, name, code)
        self._workspace.reload_well()
        began = time.time()
        container = self._workspace.start()
        ups = self._marks / "up"
        eventually("all sensors are in setup()", lambda: len(os.listdir(ups)) == self._count, timeout=300)
        up = last(ups) - began
        time.sleep(SETTLE)
        processes = everybody(container)
        spent = sum(map(cpu, processes))
        memory = [process.memory_full_info() for process in container.wrappers().values()]
        rss = psutil.Process(container.process.pid).memory_info().rss / 1e6
        before, at = sum(map(cpu, processes)), time.monotonic()
        time.sleep(idle_for)
        idle = (sum(map(cpu, processes)) - before) / (time.monotonic() - at)
        began = time.time()
        container.stop(timeout=60)
        weight = Weight(
            up=up,
            spent=spent,
            pss=median([item.pss / 1e6 for item in memory]),
            own=median([item.uss / 1e6 for item in memory]),
            container=rss,
            idle=idle * 100,
            down=time.time() - began,
            cleanups=len(os.listdir(self._marks / "down")),
        )
        for metadata in (self._workspace.packs / self._pack / "sensors").glob("*.yaml"):
            metadata.unlink()
        self._workspace.reload_well()
        return weight


def bare(count: int, starting: Callable[[int], Iterator[list[int]]]) -> Bare:
    """Start a number of bare processes, and measure them."""
    began, before = time.time(), sum(os.times()[:2])
    with contextmanager(starting)(count) as pids:
        processes = [psutil.Process(pid) for pid in pids]
        eventually("all sleep", lambda: all(item.num_ctx_switches().voluntary > 0 for item in processes), timeout=60)
        up = time.time() - began
        spent = sum(map(cpu, processes)) + sum(os.times()[:2]) - before
        return Bare(up=up, cpu=spent / count * 1000, pss=median([pss_of(process) for process in processes]))


def forking(count: int) -> Iterator[list[int]]:
    """Yield sleeping children of a bare interpreter."""
    command = [sys.executable, "-c", FORKING, str(count)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    assert parent.stdout is not None
    yield [int(parent.stdout.readline()) for _ in range(count)]
    os.killpg(parent.pid, signal.SIGKILL)
    parent.communicate()


def executing(count: int) -> Iterator[list[int]]:
    """Yield sleeping bare interpreters."""
    processes = [subprocess.Popen(BARE) for _ in range(count)]
    yield [process.pid for process in processes]
    for process in processes:
        process.kill()
        process.wait()


def everybody(container: Container) -> list[psutil.Process]:
    """Return the container with all its processes."""
    parent = psutil.Process(container.process.pid)
    return [parent, *parent.children(recursive=True)]


def cpu(process: psutil.Process) -> float:
    """Return seconds of processor time, without that of children."""
    return sum(process.cpu_times()[:2])


def last(folder: Path) -> float:
    """Return when the last mark was made."""
    return max(mark.stat().st_mtime for mark in folder.iterdir())


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def pss_of(process: psutil.Process) -> float:
    """MB."""
    weight: int = process.memory_full_info().pss
    return weight / 1e6
