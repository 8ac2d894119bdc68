"""Compares the speed of dispatch() with py-amqp alone.

Rates are also given as multiples of the rate with a channel, a declaration and a publish per message, as in StackStorm.
The baseline is measured before each run, because the machine's pace changes.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import psutil
from rich.console import Console
from rich.table import Table

from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

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
                payload = {{"n": n, "host": "web-1.example.net", "text": "x" * 150, "tags": ["a", "b"]}}
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
class Run:
    """One measurement.

    :param sensors: number of sensors that dispatch at once, each from `threads` threads.
    :param count: messages of one sensor; `many`: messages of one call.
    """

    title: str
    sensors: int
    threads: int
    count: int
    durability: str
    many: int = 1


RUNS = [
    Run(title="1 sensor", sensors=1, threads=1, count=4000, durability="full"),
    Run(title="1 sensor, 8 threads", sensors=1, threads=8, count=12000, durability="full"),
    Run(title="50 sensors", sensors=50, threads=1, count=600, durability="full"),
    Run(title="1 sensor, 100 in one call", sensors=1, threads=1, count=20000, durability="full", many=100),
    Run(title="1 sensor, durability process", sensors=1, threads=1, count=4000, durability="process"),
]


def report(workspace: Workspace) -> None:
    """Print a table."""
    table = Table(
        "run", "per-message channel", "accepted", "", "confirmed", "", "dispatch() p50 / p99", "CPU a trigger",
        title="dispatch(): messages a second, and as multiples of a channel per message",
    )  # fmt: skip
    for number, run in enumerate(RUNS):
        base = channel_per_message(workspace.messaging)
        accepted, confirmed, took, cpu = measure(workspace, run, workspace.folder / f"run{number}")
        table.add_row(
            run.title,
            f"{base:.0f}/s",
            f"{accepted:.0f}/s",
            f"{accepted / base:.1f}",
            f"{confirmed:.0f}/s",
            f"{confirmed / base:.1f}",
            f"{1000 * statistics.median(took):.2f} / {1000 * statistics.quantiles(took, n=100)[98]:.1f} ms",
            f"{1000 * cpu:.3f} ms",
        )
    table.add_row("SQLite alone, 100 rows a commit", "", f"{rows_alone(workspace.folder):.0f}/s", "", "", "", "", "")
    table.add_row("py-amqp, pipelined confirms", "", "", "", f"{pipelined(workspace.messaging):.0f}/s", "", "", "")
    Console(width=140).print(table)


def measure(workspace: Workspace, run: Run, folder: Path) -> tuple[float, float, list[float], float]:
    """Return accepted and confirmed messages a second, seconds of each dispatch(), container CPU seconds a trigger."""
    folder.mkdir()
    sensors = workspace.add_pack("bench") / "sensors"
    for path in [*sensors.glob("*.py"), *sensors.glob("*.yaml")]:
        path.unlink()
    for number in range(run.sensors):
        name = f"Bench{number}"
        code = SENSOR.format(name=name, folder=str(folder), count=run.count, threads=run.threads, many=run.many)
        workspace.add_sensor("bench", name, code, trigger_types=[{"name": "event", "payload_schema": SCHEMA}])
    workspace.configure(f"[outbox]\ndurability = {run.durability}")
    workspace.reload_well()
    container = workspace.start()
    eventually("all sensors are up", lambda: len(list(folder.glob("*.up"))) == run.sensors, timeout=60)
    total = run.sensors * run.count
    with connection(workspace.messaging) as opened:
        channel = opened.channel()
        queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
        eventually("what starting emitted is delivered", lambda: depth(channel, queue) >= run.sensors)
        channel.queue_purge(queue)
        before = cpu(container)
        (folder / "go").touch()
        delivered = when_deep(channel, queue, total)
    eventually("all sensors are done", lambda: len(list(folder.glob("*.done"))) == run.sensors)
    used = cpu(container) - before
    container.stop()
    results: list[dict[str, Any]] = [json.loads(path.read_text()) for path in folder.glob("*.done")]
    began, ended = min(item["began"] for item in results), max(item["ended"] for item in results)
    took = [seconds for item in results for seconds in item["took"]]
    return total / (ended - began), total / (delivered - began), took, used / total


def cpu(container: Container) -> float:
    """Return the processor seconds that the container itself has used."""
    times = psutil.Process(container.process.pid).cpu_times()
    return float(times.user + times.system)


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


def rows_alone(folder: Path, commits: int = 200, rows: int = 100) -> float:
    """Return rows a second that bare SQLite puts on disk, with this number of rows in each commit."""
    with closing(sqlite3.connect(folder / "alone.db", isolation_level=None)) as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = FULL")
        opened.execute("CREATE TABLE alone (id INTEGER PRIMARY KEY, body TEXT)")
        began = time.time()
        for _ in range(commits):
            opened.execute("BEGIN")
            opened.executemany("INSERT INTO alone (body) VALUES (?)", [(BODY.decode(),)] * rows)
            opened.execute("COMMIT")
        return commits * rows / (time.time() - began)
