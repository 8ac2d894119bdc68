"""How long a container runs, and its exit code."""

from __future__ import annotations

import asyncio

import pytest

from st2sensor.container.lifetime import Lifetime
from st2sensor.container.supervision.child import Child, State


def child(state: State) -> Child:
    return Child(ref="p.S", digest="d", state=state, since=0.0, reason="")


@pytest.mark.parametrize(
    ("state", "code", "exit_code"),
    [(State.FINISHED, 0, 0), (State.BACKOFF, 7, 7), (State.BACKOFF, -9, 137), (State.BACKOFF, 127, 127)],
)
def test_a_container_of_one_sensor_ends_with_its_exit_code(state: State, code: int, exit_code: int) -> None:
    wake = asyncio.Event()
    lifetime = Lifetime(wake, only=True)
    lifetime.ended(child(state), code)
    assert (lifetime.is_stopping, lifetime.exit_code, wake.is_set()) == (True, exit_code, True)


def test_a_sensor_that_was_asked_to_stop_ends_nothing() -> None:
    lifetime = Lifetime(asyncio.Event(), only=True)
    lifetime.ended(child(State.STOPPED), -15)
    assert (lifetime.is_stopping, lifetime.exit_code) == (False, 0)


def test_a_container_of_all_sensors_outlives_each_of_them() -> None:
    lifetime = Lifetime(asyncio.Event(), only=False)
    lifetime.ended(child(State.BACKOFF), 1)
    assert (lifetime.is_stopping, lifetime.exit_code) == (False, 0)
