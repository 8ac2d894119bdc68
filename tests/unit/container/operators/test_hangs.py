"""Which sensors hang, with an injected clock."""

from __future__ import annotations

import logging
import time

import pytest

from st2sensor.cli.text import units
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.sessions.activity import Activity, Doing, hanging
from st2sensor.container.sessions.session import Waiting


@pytest.mark.parametrize(
    ("doing", "waiting", "interval", "now", "what"),
    [
        (Doing("poll()", 0), None, None, 9.9, None),
        (Doing("poll()", 0), None, None, 10, "poll()"),
        (Doing("poll()", 0), None, 1, 10, "poll()"),
        (Doing("poll()", 0), None, 20, 59, None),
        (Doing("poll()", 0), None, 20, 60, "poll()"),
        (Doing("poll()", 0), Doing("dispatch()", 5), None, 14, "poll()"),
        (Doing("poll()", 0), Doing("dispatch()", 5), None, 15, "dispatch()"),
        (None, Doing("get_value()", 5), None, 15, "get_value()"),
        (Doing("poll()", 0), Doing("dispatch()", 5), 60, 15, "dispatch()"),
        (None, None, None, 1000, None),
    ],
)
def test_a_method_hangs_after_ten_seconds_and_three_intervals_and_a_call_after_ten_seconds(
    doing: Doing | None, waiting: Doing | None, interval: float | None, now: float, what: str | None
) -> None:
    found = hanging(doing, waiting, interval, now)
    assert (found and found.what) == what


class Sensors:
    """One sensor, p.S, in the methods that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.activity = Activity()
        self.waiting: Waiting | None = None
        self.hangs = Hangs(self, self, lambda _: None, lambda: self.now)

    def with_process(self) -> list[str]:
        return ["p.S"]

    def activity_of(self, ref: str) -> Activity | None:
        return self.activity if ref == "p.S" else None

    def oldest(self, ref: str) -> Waiting | None:  # noqa: ARG002
        return self.waiting

    def heard_at(self, ref: str) -> float | None:  # noqa: ARG002
        return 1001.0


def test_a_hang_is_told_with_its_beginning_and_the_last_sign_of_life() -> None:
    sensors = Sensors()
    sensors.activity.begins("poll()", sensors.now)
    sensors.now += 60
    hang = sensors.hangs.of("p.S")
    assert hang is not None
    assert hang.what == "poll()"
    assert hang.since == pytest.approx(time.time() - 60, abs=30)
    assert hang.heard is not None
    assert hang.heard - hang.since == pytest.approx(1, abs=0.2)
    said = units.hang(hang)
    assert said.startswith("in poll() for 1 min")
    assert "last sign of life" in said
    assert sensors.hangs.of("p.Other") is None


def test_a_poll_that_ends_and_one_whose_interval_is_long_do_not_hang() -> None:
    sensors = Sensors()
    for _ in range(100):
        sensors.activity.begins("poll()", sensors.now)
        sensors.now += 9
        assert sensors.hangs.all() == {}
        sensors.activity.ends("poll()")
        sensors.now += 100
        assert sensors.hangs.all() == {}
    sensors.activity.poll_interval = 60.0
    sensors.activity.begins("poll()", sensors.now)
    sensors.now += 170
    assert sensors.hangs.all() == {}


def test_what_is_left_for_cleanup_does_not_hang_any_more() -> None:
    sensors = Sensors()
    sensors.activity.begins("add_trigger()", sensors.now)
    sensors.now += 20
    assert list(sensors.hangs.all()) == ["p.S"]
    sensors.activity.is_left()
    assert sensors.hangs.all() == {}


def test_the_log_has_each_hang_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sensors = Sensors()
    sensors.waiting = Waiting("datastore.set", sensors.now)
    sensors.now += 11
    for _ in range(3):
        sensors.hangs.look()
    sensors.waiting = None
    sensors.hangs.look()
    sensors.hangs.look()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("p.S hangs: it has been in set_value() for 11 s; it last sent a message")
    assert told[1] == "p.S no longer hangs in set_value()"
