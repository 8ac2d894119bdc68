"""The table of sensors, rendered from typed reports."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from st2sensor.cli.inspection.registered import NOBODY
from st2sensor.cli.inspection.sensor_table import fitting, table, why
from st2sensor.reports import Hang, Notice
from st2sensor.trouble import judged
from tests.support.control_peer import report


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("shares", [None, {"p.B": 12.34}], ids=["list", "top"])
def test_a_long_reason_shows_its_message_and_costs_few_columns(
    width: int, shares: dict[str, float | None] | None
) -> None:
    ref = "pack.SensorOfThirtyCharacters_"
    assert len(ref) == 30
    at = time.time() - 720
    rows = [
        judged(
            report(
                ref, state="backoff", since=at, restarts=17, reason="ended with exit code 1 (" + "no luck " * 40 + ")"
            )
        ),
        report("p.B", since=at, recent=(1,) * 18, triggers_per_minute=7, memory=2**25, triggered_at=at),
    ]
    stream = io.StringIO()
    Console(file=stream, width=width).print(table(rows, width, shares)[0])
    head, first, second = stream.getvalue().splitlines()
    assert max(map(len, (head, first, second))) <= width
    assert ref in first
    assert "backoff" in first
    assert "no luck" in first
    if width >= 80:
        assert "12 min ago" in first
    if width >= 100:
        assert " 17 " in first
        assert "restarts" in head
    if width == 200:
        assert ("12.3" in second) is ("cpu" in head) is (shares is not None)
        assert "last 3 min" in head


def test_why_tells_every_trouble_and_else_the_reason_for_the_state() -> None:
    assert why(judged(report(failing=True, last_exit=Notice(at=2.0, text="killed by signal 9")))) == [
        "killed by signal 9"
    ]
    assert why(judged(report(dead=1, dropped=2)))[0] == "1 dead letter since the container started"
    assert len(why(judged(report(dead=1, dropped=2)))) == 2
    assert why(judged(report(state="disabled", reason="it is disabled"))) == ["it is disabled"]
    assert why(judged(report(state="backoff", reason="ended"))) == ["ended"]
    hang = Hang(what="cleanup()", since=time.time() - 60, heard=None)
    assert why(judged(report(state="stopping", reason="it was disabled", hang=hang))) == [
        "it was disabled",
        "in cleanup() for 1 min; last sign of life: none",
    ]
    assert why(judged(report(reason="setup() was entered"))) == []


@pytest.mark.parametrize(
    ("lines", "room", "shown"),
    [
        (["ended with exit code 1 (KeyError: 'x')"], 40, "ended with exit code 1 (KeyError: 'x')"),
        (["ended with exit code 1 (KeyError: 'x')"], 30, "KeyError: 'x'"),
        (["/opt/packs/p/sensors/s.py:12: no such key"], 20, "no such key"),
        (["/opt/packs/p/sensors/s.py:12: no such key"], 8, "no such…"),
        (["2 dead letters: p.t: n: 'x' is not of type 'integer'"], 30, "'x' is not of type 'integer'"),
        (["all of this is the message"], 12, "all of this…"),
        (["ended with exit code 1 (KeyError: 'x')", "3 wait"], 20, "KeyError: 'x' +1"),
        (["one", "two"], 20, "one; two"),
        (["cannot reach MongoDB at h: [Errno 111] Connection refused; start it"], 26, "cannot reach MongoDB at h"),
        (["Gone: cannot reach MongoDB at host: [Errno 111] (x)"], 22, "cannot reach MongoDB…"),
        ([], 20, ""),
        (["abc"], 0, "…"),
    ],
)
def test_a_reason_that_does_not_fit_keeps_its_message(lines: list[str], room: int, shown: str) -> None:
    assert fitting(lines, room) == shown


def test_a_narrow_table_says_what_it_lacks() -> None:
    at = time.time() - 720
    rows = [
        report("pack.SensorOfThirtyCharacters_", since=at, recent=(1,) * 18, memory=2**25, triggered_at=at),
        report("p.B", state="backoff", since=at, restarts=17, reason="no luck " * 40),
    ]
    assert table(rows, 1000)[1] == table([], 80)[1] == ""
    left = "restarts, last trigger, memory, last 3 min, parts of why"
    assert table(rows, 80)[1] == f"left out: {left}; st2sensor show has them"


def test_without_a_container_the_remedy_is_shown_in_80_columns() -> None:
    rows = [report("linux.FileWatchSensor", state="down", reason=NOBODY)]
    stream = io.StringIO()
    Console(file=stream, width=80).print(table(rows, 80)[0])
    assert "st2ctl start starts one" in stream.getvalue()
    assert table(rows, 80)[1] == ""
