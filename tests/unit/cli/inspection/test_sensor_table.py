"""The table of sensors, rendered from typed reports."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from st2sensor.cli.inspection.sensor_table import table, why
from st2sensor.reports import Notice
from tests.support.control_peer import report


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("shares", [None, {"p.B": 12.34}], ids=["list", "top"])
def test_a_long_reason_costs_no_other_column(width: int, shares: dict[str, float | None] | None) -> None:
    ref = "pack.SensorOfThirtyCharacters_"
    assert len(ref) == 30
    at = time.time() - 720
    rows = [
        report(ref, state="backoff", since=at, restarts=17, reason="ended with exit code 1 (" + "no luck " * 40 + ")"),
        report("p.B", since=at, recent=(1,) * 18, triggers_per_minute=7, memory=2**25, triggered_at=at),
    ]
    stream = io.StringIO()
    Console(file=stream, width=width).print(table(rows, width, shares))
    head, first, second = stream.getvalue().splitlines()
    assert max(map(len, (head, first, second))) <= width
    assert ref in first
    assert "backoff" in first
    assert "ended with exit" in first
    if width >= 80:
        assert "12 min ago" in first
        assert " 17 " in first
        assert "restarts" in head
    if width == 200:
        assert ("12.3" in second) is ("cpu" in head) is (shares is not None)
        assert "last 3 min" in head


def test_why_a_sensor_fails_that_runs_again_is_what_happened_last() -> None:
    ended, error = Notice(at=2.0, text="killed by signal 9"), Notice(at=1.0, text="Traceback\nKeyError: 'x'")
    assert why(report(failing=True, last_exit=ended)) == "killed by signal 9"
    assert why(report(failing=True, last_exit=ended, last_error=error)) == "killed by signal 9"
    assert why(report(failing=True, last_exit=Notice(at=0.5, text="x"), last_error=error)) == "KeyError: 'x'"
    assert why(report(failing=True)) == ""
    assert why(report(last_exit=ended)) == ""
