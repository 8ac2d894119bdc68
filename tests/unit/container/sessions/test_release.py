"""How a stopping sensor is released from the calls in which it is waiting, with an injected clock."""

from __future__ import annotations

import pytest

from st2sensor.container.sessions.release import Release, patience_of
from st2sensor.container.sessions.session import Waiting
from st2sensor.errors import SensorStops


class Sensor:
    """p.S, which is asked to stop at 100, with one request that a test makes."""

    def __init__(self, since: float | None) -> None:
        self.now = 100.0
        self.waiting = None if since is None else Waiting("dispatch", since)
        self.done: list[object] = []
        self.letting_go = Release(
            self,
            withdraw=lambda ref: self.done.append(("withdraw", ref)),
            release=lambda ref, before: self.done.append(("datastore", ref, before)),
            clock=lambda: self.now,
        )

    def oldest(self, ref: str) -> Waiting | None:  # noqa: ARG002
        return self.waiting

    def release(self, ref: str, before: float, error: Exception) -> None:
        assert isinstance(error, SensorStops)
        self.done.append(("requests", ref, before))

    def at(self, now: float) -> list[object]:
        """Return the actions at a given time."""
        self.now, self.done = now, []
        self.letting_go.look("p.S", 100.0, 1.0)
        return self.done


def test_what_waits_in_the_outbox_is_withdrawn_at_once_and_the_rest_has_some_patience() -> None:
    sensor = Sensor(since=10.0)
    assert sensor.at(100.0) == [("withdraw", "p.S")]
    assert sensor.at(101.0) == [("datastore", "p.S", 100.0)]
    assert sensor.at(102.0) == [("datastore", "p.S", 101.0), ("requests", "p.S", 100.0)]


def test_a_call_of_cleanup_has_the_same_patience_and_one_that_is_answered_is_left_alone() -> None:
    sensor = Sensor(since=105.0)
    assert sensor.at(105.5) == []
    assert sensor.at(106.0) == [("datastore", "p.S", 105.0)]
    assert sensor.at(107.0) == [("datastore", "p.S", 106.0), ("requests", "p.S", 105.0)]
    sensor.waiting = None
    assert sensor.at(108.0) == []


@pytest.mark.parametrize(("stop_timeout", "patience"), [(10.0, 1.0), (60.0, 1.0), (1.0, 0.1), (0.0, 0.0)])
def test_a_short_deadline_leaves_less_patience(stop_timeout: float, patience: float) -> None:
    assert patience_of(stop_timeout) == pytest.approx(patience)
