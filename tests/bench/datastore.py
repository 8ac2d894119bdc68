"""Compares the speed of a sensor's datastore calls with bare pymongo in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Row, Sample
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

CALLS = 1000

ROWS = (
    Row(key="get", title="datastore get / bare pymongo", goal=0.65, limit="one round trip more", more_is_better=True),
    Row(key="set", title="datastore set / bare pymongo", goal=0.6, limit="one round trip more", more_is_better=True),
    Row(key="get_8", title="datastore get, 8 threads / bare", more_is_better=True),
    Row(key="set_8", title="datastore set, 8 threads / bare", more_is_better=True),
    Row(key="set_emitting", title="datastore set that emits a trigger / bare", more_is_better=True),
)
"""Bare pymongo emits no triggers either, so that the first rows do the same work."""

QUIET = "[datastore]\nemit_triggers = false"

CODE = """
import json
import os
import threading
import time


class Calls(Sensor):
    def run(self):
        service = self.sensor_service
        service.set_value("k", "v")
        rates = [self.rate(lambda: service.set_value("k", "v")), self.rate(lambda: service.get_value("k"))]
        with open("{rates}.new", "w") as file:
            json.dump(rates, file)
        os.rename("{rates}.new", "{rates}")

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


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield shares of the speed of bare pymongo, measured next to each run: a machine is not always equally busy."""
    number = 0
    while True:
        sample: dict[str, float] = {}
        for threads, options, keys in (
            (1, QUIET, ("set", "get")),
            (8, QUIET, ("set_8", "get_8")),
            (1, "", ("set_emitting",)),
        ):
            number += 1
            workspace.configure(options)
            rates = measured(workspace, threads, number)
            sample |= {key: mine / theirs for key, mine, theirs in zip(keys, rates, bare(workspace), strict=False)}
        yield sample


def measured(workspace: Workspace, threads: int, number: int) -> list[float]:
    """Return the calls a second, set and get, of a sensor."""
    rates = workspace.folder / f"rates{number}"
    workspace.add_sensor("bench", "Calls", CODE.format(threads=threads, calls=CALLS, rates=str(rates)))
    workspace.reload_well()
    container = workspace.start("--sensor-ref", "bench.Calls")
    eventually("the sensor has made its calls", rates.exists, timeout=120)
    container.process.wait(60)
    found: list[float] = json.loads(rates.read_text())
    return found


def bare(workspace: Workspace) -> list[float]:
    command = [sys.executable, "-c", BARE, workspace.database, workspace.name, str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path("/"))
    rates: list[float] = json.loads(done.stdout)
    return rates
