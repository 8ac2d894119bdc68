"""The states of a sensor, and what leads from one to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from st2sensor.container.supervision.child import (
    ALIVE,
    Child,
    State,
    backing_off,
    describe_end,
    describe_exit,
    exited,
    is_healthy,
    ready,
    starting,
    stopping,
    summary,
    unwaited,
)
from st2sensor.settings import Restarts

RESTARTS = Restarts(delay=2.0, delay_max=10.0, jitter=0.0, healthy_after=60.0)


def child(state: State, **fields: object) -> Child:
    given = {"ref": "p.S", "digest": "d", "state": state, "since": 100.0, "reason": "why"} | fields
    return Child(**given)  # type: ignore[arg-type]


def test_a_start_keeps_the_number_of_failures() -> None:
    expected = child(State.STARTING, since=7.0, reason="due", failures=3)
    assert starting("p.S", "d", 7.0, 3, "due") == expected


def test_only_a_sensor_that_is_starting_gets_ready() -> None:
    expected = child(State.RUNNING, since=7.0, reason="setup() was entered", failures=2)
    assert ready(child(State.STARTING, failures=2), 7.0) == expected
    for state in set(State) - {State.STARTING}:
        assert ready(child(state), 7.0) == child(state)


@pytest.mark.parametrize(("failed", "healthy", "failures"), [(False, False, 4), (True, False, 4), (True, True, 0)])
def test_a_stop_forgets_failures_of_a_sensor_that_ran_well(failed: bool, healthy: bool, failures: int) -> None:
    before = child(State.RUNNING, failures=4)
    expected = child(State.STOPPING, since=7.0, reason="asked", failures=failures, failed=failed)
    assert stopping(before, 7.0, "asked", failed=failed, healthy=healthy) == expected


def test_a_stop_is_no_failure_unless_it_is_said_to_be_one() -> None:
    assert stopping(child(State.RUNNING, failures=4), 7.0, "asked") == child(
        State.STOPPING, since=7.0, reason="asked", failures=4
    )


def test_a_sensor_that_no_longer_waits_has_neither_failures_nor_a_date() -> None:
    before = child(State.BACKOFF, failures=3, due=9.0)
    assert unwaited(before, 7.0, "disabled") == child(State.STOPPED, since=7.0, reason="disabled")


@pytest.mark.parametrize("success", [True, False])
def test_the_exit_of_a_stop_does_not_matter(success: bool) -> None:
    before = child(State.STOPPING, reason="asked", failures=2)
    after = exited(before, "exit code 1", 200.0, RESTARTS, success=success)
    assert after == child(State.STOPPED, since=200.0, reason="asked", failures=2)


@pytest.mark.parametrize("success", [True, False])
def test_a_stop_because_of_a_failure_leads_to_the_next_start_for_that_reason(success: bool) -> None:
    before = child(State.STOPPING, reason="poll() took too long", failures=1, failed=True)
    after = exited(before, "exit code 1", 200.0, RESTARTS, success=success)
    expected = child(State.BACKOFF, since=200.0, reason="poll() took too long", failures=2, due=204.0)
    assert after == expected


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
def test_an_exit_without_an_error_is_an_end_and_another_one_a_failure(state: State) -> None:
    before = child(state, failures=2)
    finished = exited(before, "exit code 0", 110.0, RESTARTS, success=True)
    assert finished == child(State.FINISHED, since=110.0, reason="exit code 0")
    failed = exited(before, "exit code 1", 110.0, RESTARTS, success=False)
    assert failed == child(State.BACKOFF, since=110.0, reason="exit code 1", failures=3, due=118.0)


def test_the_wait_doubles_up_to_its_maximum_and_is_short_again_after_a_healthy_run() -> None:
    waits = []
    for failures in range(4):
        after = backing_off(child(State.RUNNING, failures=failures), "x", 110.0, RESTARTS)
        assert after.due is not None
        waits.append(after.due - 110.0)
    assert waits == [2.0, 4.0, 8.0, 10.0]
    healthy = backing_off(child(State.RUNNING, failures=3), "x", 160.0, RESTARTS)
    assert (healthy.failures, healthy.due) == (1, 162.0)


def test_a_run_is_healthy_once_it_has_lasted_long_enough() -> None:
    assert is_healthy(child(State.RUNNING), 160.0, RESTARTS)
    assert not is_healthy(child(State.RUNNING), 159.9, RESTARTS)
    for state in set(State) - {State.RUNNING}:
        assert not is_healthy(child(state), 1000.0, RESTARTS)


def test_a_sensor_with_a_process_is_alive() -> None:
    assert {state for state in State if state in ALIVE} == {State.STARTING, State.RUNNING, State.STOPPING}


def test_a_summary_counts_each_state_in_order() -> None:
    assert summary([]) == "no sensors"
    running = child(State.RUNNING)
    states = [child(State.FINISHED), running, child(State.STARTING), replace(running, ref="p.T")]
    assert summary(states) == "1 starting, 2 running, 1 finished"


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal SIGKILL"), (-1, "signal SIGHUP"), (-200, "signal 200")],
)
def test_an_exit_is_put_into_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("code", "is_asked", "words"),
    [
        (143, True, "stopped, as asked"),
        (0, True, "stopped, as asked"),
        (-15, True, "stopped, as asked"),
        (143, False, "ended with exit code 143"),
        (1, True, "ended with exit code 1"),
        (-9, True, "ended with signal SIGKILL"),
    ],
)
def test_a_normal_stop_is_told_from_a_failure(code: int, is_asked: bool, words: str) -> None:
    assert describe_end(code, is_asked=is_asked) == words
