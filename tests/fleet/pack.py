"""A pack of sensors that count: each poll dispatches the next number, and a journal records when it was accepted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.workspace import Workspace, complete

NAME = "fleet"
TRIGGER = f"{NAME}.count"
POLL_INTERVAL = 0.5

CODE = """
import json, os, time

from st2sensor.errors import DatastoreUnavailable


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Counter(PollingSensor):
    def setup(self):
        self.fence = getattr(self.sensor_service, "fence", None)
        self.tell("setup", now())

    def poll(self):
        try:
            cursor = self.sensor_service.get_value("n")
            n, at = int(cursor or 0) + 1, now()
            payload = {{"sensor": self.ref, "fence": self.fence, "n": n, "at": at, "pid": os.getpid()}}
            accepted = self.sensor_service.dispatch_and_set([({trigger!r}, payload)], "n", n, expected=cursor)
        except DatastoreUnavailable:
            return
        if accepted:
            # The time before the call: a process that was stopped in between may write the line late.
            self.tell("accepted", at, n)

    def cleanup(self):
        self.tell("cleanup begins", now())
        self.tell("cleanup ends", now())

    def tell(self, event, at, n=None):
        line = {{"event": event, "sensor": self.ref, "fence": self.fence, "pid": os.getpid(), "at": at, "n": n}}
        journal = os.open({journal!r}, os.O_WRONLY | os.O_APPEND)
        os.write(journal, json.dumps(line).encode() + b"\\n")
        os.close(journal)
"""

SENSOR = """

class {name}(Counter):
    ref = {ref!r}
"""

SCHEMA = {
    "type": "object",
    "properties": {
        "sensor": {"type": "string", "required": True},
        "fence": {"type": ["integer", "null"], "required": True},
        "n": {"type": "integer", "required": True},
        "at": {"type": "number", "required": True},
        "pid": {"type": "integer", "required": True},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that a sensor wrote into the journal.

    :param event: `setup`, `accepted`, `cleanup begins` or `cleanup ends`.
    :param at: its CLOCK_BOOTTIME, in seconds; :param n: the number that was accepted.
    """

    event: str
    sensor: str
    fence: int | None
    pid: int
    at: float
    n: int | None = None


class Journal:
    """A file that all sensors append to, each line in one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[Line]:
        return [Line(**json.loads(text)) for text in self.path.read_text().splitlines()]


def add_sensors(workspace: Workspace, count: int, journal: Journal) -> list[str]:
    """Add and register a number of sensors, one class each; return their references."""
    sensors = workspace.add_pack(NAME) / "sensors"
    names = [f"Counter{number}" for number in range(count)]
    refs = [f"{NAME}.{name}" for name in names]
    code = complete(CODE.format(trigger=TRIGGER, journal=str(journal.path)))
    code += "".join(SENSOR.format(name=name, ref=ref) for name, ref in zip(names, refs, strict=True))
    (sensors / "counter.py").write_text(code)
    for name in names:
        metadata = {
            "class_name": name,
            "entry_point": "counter.py",
            "poll_interval": POLL_INTERVAL,
            "trigger_types": [{"name": "count", "payload_schema": SCHEMA}],
        }
        (sensors / f"{name.lower()}.yaml").write_text(yaml.safe_dump(metadata))
    workspace.reload_well()
    return refs
