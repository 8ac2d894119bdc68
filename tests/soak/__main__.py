"""A hundred sensors that crash, hang, flood and restart at random; reports what is left behind at the end."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.plugins.patience import LATER
from tests.soak.census import Census, leaks, state_of, take
from tests.soak.sensors import add_sensors
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Listener, Workspace

OUTAGE_SHARE = 0.1
"""Part of the whole time in which MongoDB and RabbitMQ are both away: one minute of ten."""

FAULT_EVERY = 2.0
"""Seconds between two faults."""

MEMORY = 15.0
"""MB by which the container may grow from a tenth of the time to the end."""

SETTLE = 30.0
"""Seconds within which everything that was started in the storm must end."""

LOG = Path(tempfile.gettempdir()) / "st2sensor-soak.log"
"""File in which the container's log is kept if something was left behind."""

Tables = list[tuple[str, Census]]


def main() -> int:
    """Run the soak; return 1 if something was left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--sensors", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"{options.sensors} sensors, {options.minutes:g} minutes, --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        mongodb, rabbitmq = MongoDB(folder), RabbitMQ(folder)
        mongodb.start()
        rabbitmq.start()
        (folder / "w").mkdir()
        workspace = Workspace(folder / "w", database=mongodb.url, messaging=rabbitmq.url)
        try:
            return soak(workspace, mongodb, rabbitmq, options.sensors, options.minutes * 60)
        finally:
            workspace.close()
            rabbitmq.stop()
            mongodb.stop()


def soak(workspace: Workspace, mongodb: MongoDB, rabbitmq: RabbitMQ, count: int, seconds: float) -> int:
    """Start the container, disturb it, let calm return, and compare."""
    calm = workspace.folder / "calm"
    calm.touch()
    add_sensors(workspace, count)
    listener = workspace.listen()
    container = workspace.start()
    all_beat(listener, container, count)
    rows: Tables = [("at the start", take(workspace, container, rabbitmq))]

    calm.unlink()
    began = time.monotonic()
    faults = disturb(workspace, container, seconds * 0.1)
    rows.append(("after a tenth", take(workspace, container, rabbitmq)))
    faults += disturb(workspace, container, seconds * 0.4)
    listener.close()
    mongodb.stop()
    rabbitmq.stop()
    faults += disturb(workspace, container, seconds * OUTAGE_SHARE)
    mongodb.start()
    rabbitmq.start()
    listener = workspace.listen()
    rows.append(("after the outage", take(workspace, container, rabbitmq)))
    faults += disturb(workspace, container, seconds - (time.monotonic() - began))
    rows.append(("at the end", take(workspace, container, rabbitmq)))

    calm.touch()
    all_beat(listener, container, count)
    before = rows[0][1]
    after = settled(before, lambda: take(workspace, container, rabbitmq))
    rows.append(("calm again", after))
    log = container.log
    family = psutil.Process(container.process.pid).children(recursive=True)
    stopped = container.stop(LATER)
    orphans = [process for process in family if state_of(process) == "alive"]
    show(rows)
    print(f"{faults} faults; {log.count(', starts again in')} restarts, {log.count('lines were dropped')} floods cut")
    problems = leaks(before, after, memory=float("inf"))
    if after.memory > rows[1][1].memory + MEMORY:
        problems.append(f"memory: {rows[1][1].memory} MB after a tenth, {after.memory} MB at the end")
    if orphans:
        problems.append(f"processes that outlived the container: {orphans}")
    if "finished with" in log:
        problems.append("a sensor counts as finished, although none of them finishes")
    if stopped != 0:
        problems.append(f"exit code {stopped}")
    if "Traceback" in "".join(line for line in log.splitlines(keepends=True) if "st2sensor." in line):
        problems.append("the container logged a traceback of its own")
    if problems:
        LOG.write_text(log)
        problems.append(f"its log is {LOG}")
    print("\n".join(problems) or "nothing was left behind", flush=True)
    return 1 if problems else 0


def disturb(workspace: Workspace, container: Container, seconds: float) -> int:
    """Inject faults from outside at random; return their number."""
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        kind = random.choices(("wrapper", "zygote", "reload"), weights=(10, 1, 1))[0]
        if kind == "reload":
            (workspace.folder / "configs").mkdir(exist_ok=True)
            (workspace.folder / "configs" / "soak.yaml").write_text(f"number: {count}\n")
            workspace.reload("--register-sensors")
        else:
            victims = container.zygotes() if kind == "zygote" else list(container.wrappers().values())
            kill(random.choice(victims or [None]))
        count += 1
        time.sleep(min(FAULT_EVERY, max(0.0, until - time.monotonic())))
    return count


def kill(process: psutil.Process | None) -> None:
    try:
        if process is not None:
            process.kill()
    except psutil.NoSuchProcess:
        pass


def all_beat(listener: Listener, container: Container, count: int) -> None:
    """Wait until every sensor is running and has dispatched after this moment."""
    seen = len(listener.seen)

    def names() -> set[str]:
        return {item.payload["name"] for item in listener.seen[seen:] if item.trigger == "soak.beat"}

    eventually(f"{count} sensors beat", lambda: len(names()) == count, LATER)
    eventually(f"{count} sensors run", lambda: len(container.wrappers()) == count, LATER)


def settled(before: Census, count: Callable[[], Census]) -> Census:
    """Return the census once nothing is left over, or after the time in which it should have gone."""
    until = time.monotonic() + SETTLE
    while leaks(before, found := count(), memory=float("inf")) and time.monotonic() < until:
        time.sleep(1)
    return found


def show(rows: Tables) -> None:
    table = Table("", *(name for name, _ in rows), title="what the container holds")
    for name in asdict(rows[0][1]):
        table.add_row(name, *(str(asdict(census)[name]) for _, census in rows))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
