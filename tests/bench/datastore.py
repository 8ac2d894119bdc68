"""Compares the speed of a sensor's datastore calls with bare pymongo in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

CALLS = 2000

ROUNDS = 5
"""Number of rounds. Each is followed by one of bare pymongo, because a machine is not equally busy all the time."""

RUNS = [
    ("1 sensor, emit_triggers = false", 1, "[datastore]\nemit_triggers = false"),
    ("1 sensor", 1, ""),
    ("1 sensor, 8 threads", 8, ""),
]
"""Bare pymongo emits no triggers either, so the first run does the same work."""

CODE = """
import json
import os
import threading
import time


class Calls{threads}(Sensor):
    def run(self):
        service = self.sensor_service
        service.set_value("k", "v")
        for number in range({rounds}):
            while not os.path.exists("{folder}/go%d" % number):
                time.sleep(0.005)
            rates = [self.rate(lambda: service.set_value("k", "v")), self.rate(lambda: service.get_value("k"))]
            with open("{folder}/new", "w") as file:
                json.dump(rates, file)
            os.rename("{folder}/new", "{folder}/rates%d" % number)

    def rate(self, call):
        def repeat():
            for _ in range({calls} // {threads}):
                call()
        threads = [threading.Thread(target=repeat) for _ in range({threads})]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {calls} / (time.monotonic() - began)
"""

BARE = """
import json
import sys
import time
import pymongo

calls = int(sys.argv[3])
with pymongo.MongoClient(sys.argv[1]) as client:
    entries = client[sys.argv[2]]["key_value_pair_d_b"]
    key = {"scope": "st2kv.system", "name": "bare:k"}
    document = {**key, "uid": "bare", "value": "v", "secret": False}

    def rate(call):
        began = time.monotonic()
        for _ in range(calls):
            call()
        return calls / (time.monotonic() - began)

    entries.find_one(key)
    print(json.dumps([
        rate(lambda: entries.update_one(key, {"$set": document}, upsert=True)),
        rate(lambda: entries.find_one(key)),
    ]))
"""


def report(workspace: Workspace) -> None:
    """Print a table."""
    table = Table(
        *("calls a second", "set", "get", "bare set", "bare get", "set / bare", "get / bare"),
        title="datastore, on MongoDB: medians",
    )
    for name, threads, options in RUNS:
        workspace.configure(options)
        measured = [ours + bare for ours, bare in rounds(workspace, threads)]
        sets, gets, bare_sets, bare_gets = (statistics.median(values) for values in zip(*measured, strict=True))
        table.add_row(
            name,
            *(f"{value:.0f}" for value in (sets, gets, bare_sets, bare_gets)),
            f"{statistics.median(item[0] / item[2] for item in measured):.2f}",
            f"{statistics.median(item[1] / item[3] for item in measured):.2f}",
        )
    Console(width=120).print(table)


def rounds(workspace: Workspace, threads: int) -> list[tuple[list[float], list[float]]]:
    """Return for each round the calls a second, set and get, of a sensor and of bare pymongo."""
    marks = Path(tempfile.mkdtemp(dir=workspace.folder))
    name = f"Calls{threads}"
    code = CODE.format(threads=threads, rounds=ROUNDS, calls=CALLS, folder=marks)
    workspace.add_sensor("bench", name, code)
    workspace.reload_well()
    container = workspace.start("--sensor-ref", f"bench.{name}")
    found = []
    for number in range(ROUNDS):
        (marks / f"go{number}").touch()
        rates = marks / f"rates{number}"
        eventually("the sensor has made its calls", rates.exists, timeout=120)
        found.append((json.loads(rates.read_text()), bare(workspace)))
    container.process.wait(60)
    return found


def bare(workspace: Workspace) -> list[float]:
    command = [sys.executable, "-c", BARE, workspace.database, workspace.name, str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path("/"))
    rates: list[float] = json.loads(done.stdout)
    return rates
