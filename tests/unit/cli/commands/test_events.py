"""`st2sensor events`: which events of a history and an outbox it shows, and how."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from st2sensor import config
from st2sensor.history.event import State
from st2sensor.history.file import NAME
from st2sensor.models import TriggerType
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import COLUMNS, columns_of
from st2sensor.storage import open_storage
from tests.support.control_peer import run, said
from tests.support.supervised_node import sensor_type
from tests.unit.history.test_writer import of, outcome, write

BODY = json.dumps({"trigger": "linux.file", "payload": {"line": "one", "password": "hush"}, "trace_context": None})


def state_dir(config_file: Path) -> Path:
    return config.load([str(config_file)]).container.state_dir


def record(config_file: Path, *outcomes: Any) -> None:
    write(state_dir(config_file) / NAME, outcomes)


def shown(config_file: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said(run(config_file, "events", "--json", *arguments)))
    return found


@pytest.mark.parametrize("width", [80, 200])
def test_events_are_listed_in_a_table(config_file: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    dead = of(outcome(2, state=State.DEAD, reason="a reason of many words " * 20), trigger_type="a.very.long.name" * 5)
    record(config_file, outcome(1), dead)
    lines = said(run(config_file, "events")).splitlines()
    assert max(map(len, lines)) <= width + len(dead.entry.trigger_type)
    assert dead.entry.trigger_type in lines[2], "it can be copied"
    assert lines[0].split() == ["time", "state", "id", "trigger", "payload"]
    assert lines[1].split()[2:] == ["confirmed", "0000000000", "linux.file", "line=one"]
    assert "a reason" in lines[2]
    assert lines[-1] == "2 events"


def test_a_limit_keeps_the_newest_events(config_file: Path) -> None:
    record(config_file, *(outcome(number) for number in range(5)))
    assert [event["dispatched"] for event in shown(config_file, "--limit", "2")] == [
        "1970-01-01T00:00:03.000000Z",
        "1970-01-01T00:00:04.000000Z",
    ]
    assert said(run(config_file, "events", "--limit", "2")).endswith("2 events; --limit shows more than 2\n")


def test_options_choose_events(config_file: Path) -> None:
    record(config_file, outcome(1), of(outcome(2), sensor="linux.Other"), outcome(3, state=State.DEAD))

    def chosen(*arguments: str) -> list[str]:
        return [event["message_id"].lstrip("0") for event in shown(config_file, *arguments)]

    assert chosen() == ["1", "2", "3"]
    assert chosen("--sensor", "linux.Other") == ["2"]
    assert chosen("--state", "dead", "--state", "unrouted") == ["3"]
    assert chosen("--trace", "tag-1", "--until", "1970-01-01T00:00:02Z") == ["1"]
    assert chosen("--where", "payload.line=one", "--where", "sensor=linux.Tail") == ["1", "3"]
    assert chosen("--since", "1h") == []
    assert chosen("--trigger", "linux.none") == []


def test_an_event_in_the_outbox_is_waiting(config_file: Path) -> None:
    record(config_file, outcome(1))
    entry = of(outcome(5)).entry
    with closing(open_file(state_dir(config_file) / "outbox.db", "full")) as outbox:
        marks = ", ".join("?" * (COLUMNS.count(",") + 1))
        outbox.execute(f"INSERT INTO outbox ({COLUMNS}) VALUES ({marks})", columns_of(entry))
    assert [(event["state"], event["settled"] is None) for event in shown(config_file)] == [
        ("confirmed", False),
        ("waiting", True),
    ]
    assert shown(config_file, "--state", "waiting", "--sensor", "linux.None") == []
    life = json.loads(said(run(config_file, "event", entry.message_id, "--json")))
    assert life["state"] == "waiting"


def test_secrets_in_payloads_are_masked(config_file: Path) -> None:
    settings = config.load([str(config_file)])
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        schema = {"type": "object", "properties": {"line": {"type": "string", "secret": True}}}
        storage.put(TriggerType(pack="linux", name="file", payload_schema=schema))
    record(config_file, of(outcome(1), body=BODY))
    [event] = shown(config_file)
    assert event["payload"] == {"line": "********", "password": "********"}
    assert "hush" not in said(run(config_file, "events"))
    assert "hush" not in said(run(config_file, "event", "0" * 31 + "1"))


def test_a_payload_that_was_not_kept_says_so(config_file: Path) -> None:
    record(config_file, of(outcome(1), body="not json"))
    assert shown(config_file)[0]["payload"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "yesterday"], "is not a time"),
        (["--where", "payload"], "is not a condition"),
    ],
)
def test_a_wrong_option_says_what_to_write(config_file: Path, arguments: list[str], words: str) -> None:
    record(config_file, outcome(1))
    done = run(config_file, "events", *arguments)
    assert words in str(done.exception) + done.stderr


def test_without_a_history_the_command_says_what_it_needs(config_file: Path) -> None:
    assert "[history] enable" in str(run(config_file, "events").exception)
    with config_file.open("a") as file:
        file.write("[history]\nenable = false\n")
    assert "set [history] enable = true" in str(run(config_file, "events").exception)


def test_no_events_of_an_unknown_sensor_or_trigger_get_a_suggestion(config_file: Path) -> None:
    record(config_file, outcome(1))
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        storage.put(sensor_type("ops.CountSensor"))
        storage.put(TriggerType(pack="ops", name="count"))
    told = run(config_file, "events", "--sensor", "ops.Cont", "--trigger", "ops.cont")
    assert told.exit_code == 0
    assert "no sensor is called ops.Cont; did you mean ops.CountSensor?" in told.stderr
    assert "trigger ops.cont is not registered; did you mean ops.count?" in told.stderr
    for known in ("ops.CountSensor", "CountSensor", "core"):
        assert run(config_file, "events", "--sensor", known, "--trigger", "ops.count").stderr == ""
