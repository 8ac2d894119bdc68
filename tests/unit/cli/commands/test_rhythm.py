from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from st2sensor.cli.commands import rhythm as command
from st2sensor.cli.inspection import sensors
from st2sensor.errors import SensorNotFound
from st2sensor.reports import SensorReport

TIMES: Mapping[str, list[float]] = {"p.Hourly": [number * 3600.0 for number in range(30)], "p.New": [5.0]}

REPORTS = [
    SensorReport(ref="p.Hourly", state="running"),
    SensorReport(ref="p.New", state="running", poll_interval=60.0, polls=2, poll_seconds=20.0),
    SensorReport(ref="p.Quiet", state="running"),
]


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "configured", lambda _: None)
    monkeypatch.setattr(sensors, "every", lambda _: REPORTS)
    monkeypatch.setattr(command, "_times", lambda *_: TIMES)


def printed(capsys: pytest.CaptureFixture[str], ref: str | None, **options: Any) -> str:
    command.rhythm_([], **{"ref": ref, "since": None, "json_output": False} | options)
    return capsys.readouterr().out


def test_values_are_proposed_for_every_sensor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    lines = printed(capsys, None).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["p.Hourly", "p.New", "p.Quiet"]
    assert "expect: {event: 90m}" in lines[1]
    assert "expect: {poll: 350s}" in lines[2] or "expect: {poll: 6m}" in lines[2]
    assert "too few events" in lines[3]


def test_one_sensor_is_chosen_and_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(printed(capsys, "p.Hourly", json_output=True))
    assert (found["ref"], found["events"], found["usual_gap"]) == ("p.Hourly", 30, 3600.0)
    assert found["expect"] == {"event": "90m", "poll": None}


def test_a_sensor_that_is_not_registered_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("st2sensor.cli.inspection.references._known", lambda _: [])
    with pytest.raises(SensorNotFound):
        printed(capsys, "p.None")
