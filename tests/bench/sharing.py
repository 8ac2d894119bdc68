"""Measures how soon sensors of a dead or stopped container run on another, and the cost of sharing for MongoDB."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import pymongo
from pymongo import WriteConcern
from rich.console import Console
from rich.table import Table

from st2sensor.errors import StorageError
from st2sensor.models import Member
from st2sensor.settings import Database
from st2sensor.sharing.clocks import boottime
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.participant import Participant, TurnInput
from st2sensor.sharing.times import times_of
from st2sensor.storage import open_leases
from st2sensor.storage.members import LEASES
from tests.bench.weight import median
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

NODES = ("a", "b", "c")

SENSORS, KILLS, STOPS = 20, 20, 6

SHORT_LEASE = 3.0
"""Lease in seconds for the runs in which containers die: with the default they would take minutes."""

CODE = """
import json
import os
import time


class {name}(Sensor):
    def setup(self):
        self.note("up")

    def run(self):
        while True:
            time.sleep(1000)

    def cleanup(self):
        self.note("down")

    def note(self, what):
        line = json.dumps([what, time.clock_gettime(time.CLOCK_BOOTTIME), os.getppid()])
        with open({journal!r}, "a") as file:
            file.write(line + "\\n")
"""

COUNTS = (1000, 10_000)

LEASE = 10.0
"""Lease in seconds for the runs that measure cost: the default."""

WINDOW = 2 * LEASE
"""Seconds for which requests are counted: all leases are read once per lease."""

SETTLE = LEASE / 2
"""Seconds until the members have seen which member has taken which lease."""

UPDATES, UPDATES_OF_ALL = 1000, 5
"""Numbers of updates measured, of one lease and of all: a full tick would take too long."""

Counts = dict[str, float]
"""The work done: `seconds`, `queries`, `updates`, `others`, `bytes`; processor seconds: `mongod`, `client`."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sensor's note: `up` or `down`, the CLOCK_BOOTTIME, and the container's process."""

    what: str
    at: float
    container: int


# Takeover.


def report_takeover(workspace: Workspace) -> None:
    """Kill containers in turns, stop them in turns, and print a table."""
    journals = sensors(workspace)
    workspace.configure(f"partition_provider = name:shared\nlease = {SHORT_LEASE:g}")
    workspace.reload_well()
    containers = {node: start(workspace, node) for node in NODES}
    eventually("all have sensors", lambda: len({running_in(item) for item in journals}) == len(NODES), timeout=60)
    first, last, gaps = [], [], []
    for number, node in zip(range(KILLS + STOPS), cycle(NODES), strict=False):
        process = containers[node].process
        began = boottime()
        if number < KILLS:
            process.kill()
            waited = [up.at - began for _, up in moved(journals, process.pid)]
            first.append(min(waited))
            last.append(max(waited))
        else:
            process.terminate()
            gaps += [up.at - down.at for down, up in moved(journals, process.pid)]
        process.wait(30)
        # Start it at once, and kill the next one at once, before sensors are moved to balance the members.
        containers[node] = start(workspace, node)
    title = f"{SENSORS} sensors on {len(NODES)} containers with a lease of {SHORT_LEASE:g} s, on RabbitMQ and MongoDB"
    table = Table("seconds until it is in setup() elsewhere", "min", "median", "max", title=title)
    for name, values in (
        (f"kill -9, {KILLS} times: the first sensor", first),
        (f"kill -9, {KILLS} times: the last sensor", last),
        (f"SIGTERM, {STOPS} times: each of {len(gaps)} sensors, from the end of its cleanup()", gaps),
    ):
        table.add_row(name, *(f"{value:.2f}" for value in (min(values), median(values), max(values))))
    Console(width=120).print(table)


def sensors(workspace: Workspace) -> list[Path]:
    """Add sensors; return the files that they write to."""
    journals = []
    for number in range(SENSORS):
        name = f"Shared{number}"
        journals.append(workspace.folder / f"{name}.journal")
        workspace.add_sensor("sharing", name, CODE.format(name=name, journal=str(journals[-1])))
    return journals


def start(workspace: Workspace, node: str) -> Container:
    """Start a container with a folder of its own, and wait until it is a member."""
    config = workspace.folder / f"{node}.conf"
    config.write_text(f"[sensorcontainer]\nstate_dir = {workspace.folder / node}\nsensor_node_name = {node}\n")
    container = workspace.start("--config-file", str(config))
    container.wait_for_log("shares sensors as", timeout=60)
    return container


def moved(journals: list[Path], left: int) -> list[tuple[Note, Note]]:
    """Return the last two notes of each sensor of a leaving container, once the sensor is in setup() on another."""
    theirs = [journal for journal in journals if running_in(journal) == left]
    eventually("they run elsewhere", lambda: all(running_in(item) not in (left, 0) for item in journals), timeout=60)
    return [(found[-2], found[-1]) for found in map(notes, theirs)]


def running_in(journal: Path) -> int:
    """Return the process of the container that runs a sensor; 0 if it is not running."""
    found = notes(journal)
    return found[-1].container if found and found[-1].what == "up" else 0


def notes(journal: Path) -> list[Note]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [Note(what=what, at=at, container=container) for what, at, container in map(json.loads, lines)]


# Cost.


class Sharer:
    """A participant that takes its turns in a thread, as in a container."""

    def __init__(self, workspace: Workspace, node: str, identity: Path) -> None:
        database = Database(url=workspace.database, name=workspace.name, connection_timeout=5000)
        self._leases = open_leases(database, timeout=times_of(LEASE).term / 2)
        profile = Member(id="", node=node, lease=LEASE)
        self._participant = Participant(
            self._leases, profile, HeldLeases(), Identity(identity), moves_at_once=10, settle=lambda: True
        )
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._poked, self._ended = threading.Event(), False
        self.members = 0
        """The number of members that it has seen."""
        self._thread = threading.Thread(target=self._take_turns)
        self._thread.start()

    @property
    def held(self) -> int:
        return len(self._participant.holdings.fences)

    def want(self, wanted: dict[str, tuple[str, ...]]) -> None:
        self._wanted = wanted
        self._poked.set()

    def end(self) -> None:
        """Stop taking turns, without notice to the others."""
        self._ended = True
        self._poked.set()
        self._thread.join()

    def _take_turns(self) -> None:
        while not self._ended:
            self._poked.clear()
            self._poked.wait(self._turn())
        self._leases.close()

    def _turn(self) -> float:
        """Take a turn; return the seconds until the next one."""
        busy = frozenset(self._participant.holdings.fences)
        try:
            view = self._participant.turn(TurnInput(wanted=self._wanted, busy=busy))
        except StorageError:
            return self._participant.times.tick / 2
        self.members = len(view.members)
        return view.wait


def report_cost(workspace: Workspace) -> None:
    """Print the work in the steady state, compared with updates of each lease, and the time to take leases."""
    cost = Table(
        *("a second", "queries", "updates", "others", "on the wire", "CPU of mongod", "CPU of participants"),
        title=f"{len(NODES)} participants with leases of {LEASE:g} s on a mongod, and updates of all leases each tick",
    )
    taking = Table(
        *(
            "leases",
            "all are taken in",
            "those of a silent one in",
            "it counts as alive, after it renewed, for",
        ),
        title="taking leases",
    )
    # Evictions are measured here.
    logging.getLogger("st2sensor.sharing").setLevel(logging.ERROR)
    with pymongo.MongoClient[dict[str, Any]](workspace.database) as client:
        idle = counted(client, lambda: time.sleep(WINDOW / 4))
        for count in COUNTS:
            with sharers(workspace, count) as several:
                took = take(several, count)
                time.sleep(SETTLE)
                steady = a_second(counted(client, lambda: time.sleep(WINDOW)), idle)
                over, part = take_over(several, count)
            each, many = bare(client[workspace.name], idle, count)
            cost.add_row(f"{count:,} leases", *cells(steady))
            cost.add_row("  update_one() of each", *cells(each, steady), style="dim")
            cost.add_row("  update_many() of all", *cells(many, steady), style="dim", end_section=True)
            silence = f"{times_of(LEASE).silence:g} s"
            taking.add_row(f"{count:,}", f"{took:.2f} s", f"{part:,} in {over:.2f} s", silence)
            client.drop_database(workspace.name)
    console = Console(width=140)
    console.print(cost)
    console.print(taking)


@contextmanager
def sharers(workspace: Workspace, count: int) -> Iterator[list[Sharer]]:
    """Yield participants that know of each other, and want no sensors yet."""
    several = [Sharer(workspace, node, workspace.folder / f"{node}-{count}.json") for node in NODES]
    try:
        eventually("all see all", lambda: all(item.members == len(several) for item in several))
        yield several
    finally:
        for item in several:
            item.end()


def take(several: list[Sharer], count: int) -> float:
    """Make them take `count` leases; return the seconds that it took."""
    wanted: dict[str, tuple[str, ...]] = {f"pack.Sensor{number}": () for number in range(count)}
    began = time.monotonic()
    for item in several:
        item.want(wanted)
    eventually("all leases are held", lambda: sum(item.held for item in several) == count, timeout=60)
    return time.monotonic() - began


def take_over(several: list[Sharer], count: int) -> tuple[float, int]:
    """Silence one participant; return the seconds until the others hold its leases, and the number of these leases."""
    gone, *others = several
    gone.end()
    began = time.monotonic()
    eventually("all leases are held", lambda: sum(item.held for item in others) == count, timeout=60)
    return time.monotonic() - began, gone.held


def bare(database: pymongo.database.Database[dict[str, Any]], idle: Counts, count: int) -> tuple[Counts, Counts]:
    """Return the work per second of updating all leases in each tick: one by one, and in one request."""
    tick = times_of(LEASE).tick
    database[LEASES].aggregate([{"$out": "bare"}])
    entries = database.get_collection("bare", write_concern=WriteConcern("majority", j=True))
    refs = [str(document["_id"]) for document in entries.find({}, {"_id": 1}).limit(UPDATES)]
    renewal = {"$inc": {"counter": 1}}

    def each() -> None:
        for ref in refs:
            entries.update_one({"_id": ref}, renewal)

    def many() -> None:
        for _ in range(UPDATES_OF_ALL):
            entries.update_many({}, renewal)

    return (
        a_second(counted(database.client, each), idle, tick * len(refs) / count),
        a_second(counted(database.client, many), idle, tick * UPDATES_OF_ALL),
    )


def counted(client: pymongo.MongoClient[dict[str, Any]], work: Callable[[], object]) -> Counts:
    """Return the work done while something runs."""
    before = counts(client)
    work()
    return {name: value - before[name] for name, value in counts(client).items()}


def counts(client: pymongo.MongoClient[dict[str, Any]]) -> Counts:
    """Return the work done so far."""
    status = client.admin.command("serverStatus")
    operations = status["opcounters"]
    return {
        "seconds": time.monotonic(),
        "queries": operations["query"],
        "updates": operations["update"],
        "others": sum(operations[name] for name in ("insert", "delete", "getmore", "command")),
        "bytes": status["network"]["bytesIn"] + status["network"]["bytesOut"],
        "mongod": sum(psutil.Process(status["pid"]).cpu_times()[:2]),
        "client": time.process_time(),
    }


def a_second(done: Counts, idle: Counts, seconds: float | None = None) -> Counts:
    """Return the work done, minus the work while idle, as if it were spread over a number of seconds."""
    share = done["seconds"] / idle["seconds"]
    return {name: (value - share * idle[name]) / (seconds or done["seconds"]) for name, value in done.items()}


def cells(done: Counts, beside: Counts | None = None) -> list[str]:
    """Return a row of the table, with factors if there is a row to compare it with."""
    shown = {
        "queries": f"{done['queries']:.1f}",
        "updates": f"{done['updates']:.1f}",
        "others": f"{done['others']:.1f}",
        "bytes": f"{done['bytes'] / 1000:.1f} kB",
        "mongod": f"{100 * done['mongod']:.2f} %",
        "client": f"{100 * done['client']:.2f} %",
    }
    compared = ("updates", "bytes", "mongod", "client") if beside else ()
    return [
        f"{text} = {done[name] / beside[name]:.1f} x" if beside and name in compared else text
        for name, text in shown.items()
    ]
