"""Compares the speed of dispatch() with py-amqp alone.

Rates are also given as multiples of the rate with a channel, a declaration and a publish per message, as in StackStorm.
The baseline is measured before each run, because the machine's pace changes.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Row, Sample
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

BODY = b"x" * 250

SENSOR = """
import json
import os
import threading
import time

FOLDER = {folder!r}


class {name}(Sensor):
    def setup(self):
        open(os.path.join(FOLDER, "{name}.up"), "w").close()

    def run(self):
        while not os.path.exists(os.path.join(FOLDER, "go")):
            time.sleep(0.01)
        took = []

        def work():
            for n in range(0, {count} // {threads}, {many}):
                payload = {{"n": n // {repeats}, "host": "web-1.example.net", "text": "x" * 150, "tags": ["a", "b"]}}
                events = [("bench.event", payload)] * {many}
                began = time.perf_counter()
                if {many} == 1:
                    self.sensor_service.dispatch(*events[0])
                else:
                    self.sensor_service.dispatch_many(events)
                took.append(time.perf_counter() - began)

        began = time.time()
        threads = [threading.Thread(target=work) for _ in range({threads})]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with open(os.path.join(FOLDER, "{name}.new"), "w") as file:
            json.dump({{"began": began, "ended": time.time(), "took": took}}, file)
        os.rename(os.path.join(FOLDER, "{name}.new"), os.path.join(FOLDER, "{name}.done"))
        time.sleep(1000)
"""

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "required": True},
        "host": {"type": "string", "required": True},
        "text": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The outcome of a run.

    :param accepted: messages a second, as `confirmed`.
    :param took: seconds of each call.
    :param container: seconds of processor time that one event costs the container; `sensors`: the sensors.
    """

    accepted: float
    confirmed: float
    took: list[float]
    container: float
    sensors: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One measurement.

    :param sensors: number of sensors that dispatch at once, each from `threads` threads.
    :param count: messages of one sensor; `many`: messages of one call.
    :param limits: an operator's limits for all sensors.
    :param repeats: number of events in a row that have the same payload. Limits, if there are any, must keep one of
        them.
    """

    title: str
    sensors: int
    threads: int
    count: int
    durability: str
    many: int = 1
    limits: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1


RUNS = [
    Run(title="1 sensor", sensors=1, threads=1, count=4000, durability="full"),
    Run(title="1 sensor, 8 threads", sensors=1, threads=8, count=12000, durability="full"),
    Run(title="50 sensors", sensors=50, threads=1, count=600, durability="full"),
    Run(title="1 sensor, 100 in one call", sensors=1, threads=1, count=20000, durability="full", many=100),
    Run(title="1 sensor, durability process", sensors=1, threads=1, count=4000, durability="process"),
]

FIFTY, ONE, THREADS, MANY = "50_sensors", "1_sensor", "8_threads", "100_in_one_call"

SHORT = {
    FIFTY: Run(title="50 sensors", sensors=50, threads=1, count=300, durability="full"),
    ONE: Run(title="1 sensor", sensors=1, threads=1, count=2000, durability="full"),
    THREADS: Run(title="1 sensor, 8 threads", sensors=1, threads=8, count=6000, durability="full"),
    MANY: Run(title="1 sensor, 100 in one call", sensors=1, threads=1, count=20000, durability="full", many=100),
}
"""The runs of one repetition of `repetitions`."""

ROWS = (
    Row(key=f"{FIFTY}_accepted", title="50 sensors, accepted", goal=8, limit="prototype 8.7-10", more_is_better=True),
    Row(key=f"{FIFTY}_confirmed", title="50 sensors, confirmed", goal=7, limit="prototype 7.4", more_is_better=True),
    Row(key=f"{ONE}_accepted", title="1 sensor, accepted", goal=2.2, limit="fsyncs_alone", more_is_better=True),
    Row(key=f"{ONE}_p50", title="1 sensor, dispatch() p50", unit="ms", limit="fsync_p50"),
    Row(key=f"{ONE}_p99", title="1 sensor, dispatch() p99", unit="ms", goal=1.2, limit="fsync_p99"),
    Row(key=f"{THREADS}_accepted", title="1 sensor, 8 threads, accepted", goal=5, more_is_better=True),
    Row(
        key=f"{MANY}_accepted", title="1 sensor, 100 a call, accepted", goal=15, limit="rows_alone", more_is_better=True
    ),
    Row(key=f"{FIFTY}_container", title="CPU of an event at 50 sensors: container", unit="us", goal=40),
    Row(key=f"{FIFTY}_sensors", title="CPU of an event at 50 sensors: sensor", unit="us", goal=45),
    Row(key="channel", title="a channel per message, as in StackStorm", unit="/s", more_is_better=True),
)
"""Rates are multiples of a channel per message, which is measured before each run."""


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other."""
    number = 0
    while True:
        sample: dict[str, float] = {}
        for key, run in SHORT.items():
            base = channel_per_message(workspace.messaging)
            number += 1
            measured = measure(workspace, run, workspace.folder / f"run{number}")
            sample |= {f"{key}_accepted": measured.accepted / base, f"{key}_confirmed": measured.confirmed / base}
            sample |= {f"{key}_container": 1e6 * measured.container, f"{key}_sensors": 1e6 * measured.sensors}
            sample |= {f"{key}_{name}": 1000 * took for name, took in percentiles(measured.took).items()}
            sample["channel"] = base
        took = fsyncs(workspace.folder)
        sample |= {f"fsync_{name}": 1000 * value for name, value in percentiles(took).items()}
        sample |= {"fsyncs_alone": len(took) / sum(took) / base, "rows_alone": rows_alone(workspace.folder) / base}
        yield sample


def percentiles(took: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98]}


def report(workspace: Workspace) -> None:
    """Print a table."""
    table = Table(
        "run", "per-message channel", "accepted", "", "confirmed", "", "dispatch() p50 / p99", "CPU a trigger",
        title="dispatch(): messages a second, and as multiples of a channel per message",
    )  # fmt: skip
    for number, run in enumerate(RUNS):
        base = channel_per_message(workspace.messaging)
        measured = measure(workspace, run, workspace.folder / f"run{number}")
        accepted, confirmed = measured.accepted, measured.confirmed
        took = percentiles(measured.took)
        table.add_row(
            run.title,
            f"{base:.0f}/s",
            f"{accepted:.0f}/s",
            f"{accepted / base:.1f}",
            f"{confirmed:.0f}/s",
            f"{confirmed / base:.1f}",
            f"{1000 * took['p50']:.2f} / {1000 * took['p99']:.1f} ms",
            f"{1000 * measured.container:.3f} ms",
        )
    table.add_row("SQLite alone, 100 rows a commit", "", f"{rows_alone(workspace.folder):.0f}/s", "", "", "", "", "")
    table.add_row("py-amqp, pipelined confirms", "", "", "", f"{pipelined(workspace.messaging):.0f}/s", "", "", "")
    Console(width=140).print(table)


def measure(workspace: Workspace, run: Run, folder: Path, extra: str = "") -> Measured:
    """Have sensors dispatch, and measure it from outside and inside.

    :param extra: further lines of the configuration.
    """
    folder.mkdir()
    sensors = workspace.add_pack("bench") / "sensors"
    for path in [*sensors.glob("*.py"), *sensors.glob("*.yaml")]:
        path.unlink()
    for number in range(run.sensors):
        name = f"Bench{number}"
        code = SENSOR.format(
            name=name,
            folder=str(folder),
            count=run.count,
            threads=run.threads,
            many=run.many,
            repeats=run.repeats,
        )
        workspace.add_sensor("bench", name, code, trigger_types=[{"name": "event", "payload_schema": SCHEMA}])
    (workspace.folder / "overrides").mkdir(exist_ok=True)
    overrides = json.dumps({"st2sensor": {"defaults": {"limits": run.limits}}})
    (workspace.folder / "overrides" / "bench.yaml").write_text(overrides)
    workspace.configure(f"[outbox]\ndurability = {run.durability}\n{extra}")
    workspace.reload_well()
    container = workspace.start()
    eventually("all sensors are up", lambda: len(list(folder.glob("*.up"))) == run.sensors, timeout=60)
    total = run.sensors * run.count
    wrappers = list(container.wrappers().values())
    own = [psutil.Process(container.process.pid)]
    with connection(workspace.messaging) as opened:
        channel = opened.channel()
        queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
        eventually("what starting emitted is delivered", lambda: depth(channel, queue) >= run.sensors)
        channel.queue_purge(queue)
        before = cpu(own), cpu(wrappers)
        (folder / "go").touch()
        delivered = when_deep(channel, queue, total // run.repeats if run.limits else total)
    eventually("all sensors are done", lambda: len(list(folder.glob("*.done"))) == run.sensors)
    after = cpu(own), cpu(wrappers)
    container.stop()
    results: list[dict[str, Any]] = [json.loads(path.read_text()) for path in folder.glob("*.done")]
    began, ended = min(item["began"] for item in results), max(item["ended"] for item in results)
    return Measured(
        accepted=total / (ended - began),
        confirmed=total / (delivered - began),
        took=[seconds for item in results for seconds in item["took"]],
        container=(after[0] - before[0]) / total,
        sensors=(after[1] - before[1]) / total,
    )


def cpu(processes: list[psutil.Process]) -> float:
    """Return the processor seconds that processes have used, without their children."""
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def connection(url: str) -> amqp.Connection:
    opened = amqp.Connection(host=f"127.0.0.1:{urlsplit(url).port}")
    opened.connect()
    return opened


def depth(channel: amqp.Channel, queue: str) -> int:
    count: int = channel.queue_declare(queue, passive=True).message_count
    return count


def when_deep(channel: amqp.Channel, queue: str, total: int) -> float:
    """Return the time at which a queue holds `total` messages; check rarely, so as not to disturb the measurement."""
    deadline = time.time() + 300
    while depth(channel, queue) < total:
        assert time.time() < deadline, f"{depth(channel, queue)} of {total} messages are in the queue"
        time.sleep(0.1)
    return time.time()


def channel_per_message(url: str, count: int = 1500) -> float:
    """Return messages a second with a channel and a declaration for each message."""
    with connection(url) as opened:
        began = time.time()
        for _ in range(count):
            channel = opened.channel()
            channel.exchange_declare("bench", "topic", durable=True, auto_delete=False)
            channel.basic_publish(amqp.Message(BODY, delivery_mode=2), "bench", "key")
            channel.close()
        return count / (time.time() - began)


def pipelined(url: str, count: int = 20000, window: int = 1000) -> float:
    """Return messages a second on one channel with confirms, into a durable queue."""
    with connection(url) as opened:
        channel = opened.channel()
        channel.queue_declare("bench", durable=True, auto_delete=False)
        channel.confirm_select()
        confirmed = 0

        def on_ack(tag: int, multiple: bool) -> None:
            nonlocal confirmed
            confirmed = max(confirmed, tag) if multiple else confirmed + 1

        channel.events["basic_ack"].add(on_ack)
        began = time.time()
        for number in range(count):
            channel.basic_publish(amqp.Message(BODY, delivery_mode=2), "", "bench")
            while number - confirmed >= window:
                opened.drain_events(timeout=5)
        while confirmed < count:
            opened.drain_events(timeout=5)
        rate = count / (time.time() - began)
        channel.queue_delete("bench")
    return rate


def fsyncs(folder: Path, commits: int = 400) -> list[float]:
    """Return the seconds of bare SQLite commits of one row each."""
    took = []
    with closing(alone(folder)) as opened:
        for _ in range(commits):
            began = time.perf_counter()
            opened.execute("INSERT INTO alone (body) VALUES (?)", (BODY.decode(),))
            took.append(time.perf_counter() - began)
    return took


def rows_alone(folder: Path, commits: int = 200, rows: int = 100) -> float:
    """Return rows a second that bare SQLite puts on disk, with this number of rows in each commit."""
    with closing(alone(folder)) as opened:
        began = time.time()
        for _ in range(commits):
            opened.execute("BEGIN")
            opened.executemany("INSERT INTO alone (body) VALUES (?)", [(BODY.decode(),)] * rows)
            opened.execute("COMMIT")
        return commits * rows / (time.time() - began)


def alone(folder: Path) -> sqlite3.Connection:
    """Open a database of its own, as durable as the outbox."""
    opened = sqlite3.connect(folder / "alone.db", isolation_level=None)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("PRAGMA synchronous = FULL")
    opened.execute("CREATE TABLE IF NOT EXISTS alone (id INTEGER PRIMARY KEY, body TEXT)")
    return opened
