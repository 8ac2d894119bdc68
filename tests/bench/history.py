"""Measures a large history: lookups, the bytes of an event, `why`, and what recording costs dispatch().

The rows are generated into the file. HISTORY_EVENTS=10000000 generates as many as that, instead of one million.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from st2sensor.history.event import State
from st2sensor.history.file import NAME, open_file
from st2sensor.history.filters import Filters
from st2sensor.history.names import Names
from st2sensor.history.reader import History
from st2sensor.history.rows import INSERT, MICROSECONDS, STATES
from tests.bench.delivery import FIFTY, SHORT, measure
from tests.bench.figures import Row, Sample
from tests.support.workspace import Workspace, environment

EVENTS = int(os.environ.get("HISTORY_EVENTS", "1000000"))

SENSORS, TYPES, EACH = 50, 7, 0.01
"""Numbers of sensors and of trigger types of the events, and seconds between two events."""

TRACED = 10
"""One in this many events has a trace tag."""

LOOKUPS = 50
"""Number of lookups of each kind in a repetition; the slowest but two counts."""

SHOWN = 50
"""Number of events in a list."""

BODY = (
    '{"trigger":"bench.event","payload":{"n":1,"host":"web-1.example.net","text":"' + "x" * 150 + '"},'
    '"trace_context":null}'
)

ROWS = (
    Row(key="history_id", title=f"{EVENTS:,} events: lookup by id", unit="ms", goal=100),
    Row(key="history_trace", title="lookup by trace tag", unit="ms", goal=100),
    Row(key="history_sensor", title="lookup by sensor and time", unit="ms", goal=100),
    Row(key="history_bytes", title="bytes of an event besides its payload", goal=250),
    Row(key="history_why", title="st2sensor why ID, started alone", unit="s", goal=1),
    Row(
        key="history_share",
        title="50 sensors, confirmed: share of the rate without",
        goal=0.9,
        limit="noise of two rates",
        more_is_better=True,
    ),
    Row(key="history_cpu", title="CPU of an event: container, without the history", unit="us"),
    Row(key="history_cpu_with", title="CPU of an event: container, with it", unit="us"),
)


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other."""
    workspace.state.mkdir(exist_ok=True)
    path = workspace.state / NAME
    generate(path, EVENTS)
    size = path.stat().st_size / EVENTS - len(BODY)
    number = 0
    while True:
        sample = {f"history_{name}": 1000 * seconds for name, seconds in lookups(path, EVENTS).items()}
        number += 1
        without = measure(workspace, SHORT[FIFTY], workspace.folder / f"without{number}", "[history]\nenable = false\n")
        kept = "[history]\nmax_bytes = 100000000000\n"
        recorded = measure(workspace, SHORT[FIFTY], workspace.folder / f"with{number}", kept)
        yield {
            **sample,
            "history_bytes": size,
            "history_why": why(workspace, identifier(EVENTS // 2)),
            "history_share": recorded.confirmed / without.confirmed,
            "history_cpu": 1e6 * without.container,
            "history_cpu_with": 1e6 * recorded.container,
        }


def identifier(number: int) -> str:
    """Return the message_id of an event. They are spread evenly, in the order of the events: that is fast to store."""
    return f"{number * (2**127 // EVENTS):032x}"


def generate(path: Path, events: int) -> None:
    """Make a history whose newest event is of now."""
    began = time.time() - events * EACH
    with closing(open_file(path, "process")) as connection:
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        names = Names(connection)
        sensors = [names.number(f"bench.Sensor{number}") for number in range(SENSORS)]
        types = [names.number(f"bench.type{number}") for number in range(TYPES)]
        node, exchange, key = map(names.number, ("node", "st2.trigger_instances_dispatch", "trigger_instance"))

        def row(number: int) -> tuple[object, ...]:
            kind = types[number % TYPES]
            created = int((began + number * EACH) * MICROSECONDS)
            times = (created, 2000, 10_000, STATES.index(State.CONFIRMED))
            trace = None if number % TRACED else f"trace-{number}"
            event = (bytes.fromhex(identifier(number)), sensors[number % SENSORS], kind, kind)
            return (*event, *times, node, None, exchange, key, 1, False, False, trace, None, None, BODY)

        connection.executemany(INSERT, map(row, range(events)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def lookups(path: Path, events: int) -> dict[str, float]:
    """Return the seconds of each kind of lookup."""
    chance = random.Random(25)
    hour = min(3600.0, events * EACH / 10)
    with closing(History(path)) as history:

        def some() -> int:
            return chance.randrange(events // TRACED) * TRACED

        def by_sensor_and_time() -> bool:
            since = time.time() - events * EACH * chance.random()
            sensor = f"bench.Sensor{chance.randrange(SENSORS)}"
            history.newest(Filters(sensor=sensor, since=since, until=since + hour), SHOWN)
            return True

        return {
            "id": slow(lambda: bool(history.get(identifier(some())))),
            "trace": slow(lambda: bool(history.traced(f"trace-{some()}"))),
            "sensor": slow(by_sensor_and_time),
        }


def slow(look: Callable[[], bool]) -> float:
    took = []
    for _ in range(LOOKUPS):
        began = time.perf_counter()
        assert look()
        took.append(time.perf_counter() - began)
    return sorted(took)[-3]


def why(workspace: Workspace, event: str) -> float:
    """Return the seconds of the command."""
    command = [sys.executable, "-m", "st2sensor", "--config-file", str(workspace.config), "why", event]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=workspace.folder, env=environment("default"), capture_output=True, text=True, check=False
    )
    assert event in done.stdout, done.stderr
    return time.perf_counter() - began
