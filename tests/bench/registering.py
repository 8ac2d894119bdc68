"""Measures how long `st2ctl reload` takes for many rules with parameters on one trigger type."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.figures import Row, Sample
from tests.support.workspace import Workspace

RULES = 3000

ROWS = (
    Row(key="register_mongodb", title=f"registering {RULES:,} rules, MongoDB", unit="s", goal=3),
    Row(key="register_again_mongodb", title="registering them again, MongoDB", unit="s", goal=3),
    Row(key="register_sqlite", title=f"registering {RULES:,} rules, SQLite", unit="s", goal=3),
    Row(key="register_again_sqlite", title="registering them again, SQLite", unit="s", goal=3),
)

SENSOR = """
class Asked(Sensor):
    def run(self):
        pass
"""

TYPE = {"name": "asked", "parameters_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}

RULE = """name: r{number}
pack: bench
description: One of many.
enabled: true
trigger:
  type: bench.asked
  parameters:
    n: {number}
criteria:
  trigger.n:
    type: equals
    pattern: {number}
action:
  ref: core.local
  parameters:
    cmd: echo {{{{ trigger.n }}}}
"""


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other, each with new databases."""
    number = 0
    while True:
        number += 1
        yield {**timed(workspace, number, "mongodb"), **timed(workspace, number, "sqlite")}


def timed(workspace: Workspace, number: int, kind: str) -> Sample:
    """Return the seconds of a first and of a second registration."""
    folder = workspace.folder / f"{kind}{number}"
    folder.mkdir()
    database = workspace.database if kind == "mongodb" else "sqlite://"
    own = Workspace(folder, database=database, messaging=workspace.messaging)
    try:
        own.add_sensor("bench", "Asked", SENSOR, trigger_types=[TYPE])
        rules = own.packs / "bench" / "rules"
        for rule in range(RULES):
            (rules / f"r{rule}.yaml").write_text(RULE.format(number=rule))
        took = []
        for _ in range(2):
            began = time.monotonic()
            own.reload_well()
            took.append(time.monotonic() - began)
    finally:
        own.close()
    return {f"register_{kind}": took[0], f"register_again_{kind}": took[1]}
