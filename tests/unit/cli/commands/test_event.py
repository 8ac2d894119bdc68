"""`st2sensor event`: the life of one event."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from st2sensor.history.event import State
from st2sensor.history.file import NAME
from st2sensor.history.reader import History
from tests.support.control_peer import run, said
from tests.unit.cli.commands.test_events import record, state_dir
from tests.unit.history.test_writer import of, outcome


def test_the_timeline_shows_every_step(config_file: Path) -> None:
    record(config_file, outcome(1, attempts=3, problem="connection refused", is_late=True))
    identifier = "0" * 31 + "1"
    with closing(History(state_dir(config_file) / NAME)) as history:
        history.add_replays([identifier], 9.0, "queue work")
    shown = said(run(config_file, "event", identifier))
    steps = [line.strip() for line in shown.splitlines()]
    assert any(line.endswith("dispatched") for line in steps)
    assert any("+250 ms" in line and "on disk: dispatch() returned" in line for line in steps)
    assert any("not published at first: connection refused" in line for line in steps)
    assert any("at attempt 3, late" in line and "confirmed by the broker" in line for line in steps)
    assert any("+8 s" in line and "replayed to queue work" in line for line in steps)
    assert '"line": "one"' in shown


def test_a_dead_letter_shows_its_reason(config_file: Path) -> None:
    record(config_file, of(outcome(1, state=State.DEAD, reason="`line` must be text", exchange="", routing_key="")))
    assert "became a dead letter: `line` must be text" in said(run(config_file, "event", "0" * 31 + "1"))


def test_an_unrouted_event_names_the_route(config_file: Path) -> None:
    record(config_file, outcome(1, state=State.UNROUTED))
    shown = said(run(config_file, "event", "0" * 31 + "1"))
    assert "published to st2.trigger_instances_dispatch with the routing key trigger_instance, but no queue" in shown


def test_json_has_the_timeline_with_times(config_file: Path) -> None:
    record(config_file, outcome(1))
    shown = json.loads(said(run(config_file, "event", "0" * 31 + "1", "--json")))
    assert [step["time"] for step in shown["timeline"]] == [
        "1970-01-01T00:00:01.000000Z",
        "1970-01-01T00:00:01.250000Z",
        "1970-01-01T00:00:01.500000Z",
    ]


def test_an_unknown_event_is_an_error(config_file: Path) -> None:
    record(config_file, outcome(1))
    assert "no event in" in str(run(config_file, "event", "abcdef").exception)
