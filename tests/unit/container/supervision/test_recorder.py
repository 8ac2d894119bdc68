"""The past of sensors, and the lines of the log about them."""

from __future__ import annotations

import pytest

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.past_runs import LONGEST
from st2sensor.container.supervision.recorder import Recorder
from tests.support.supervised_node import REF, RESTARTS


class World:
    def __init__(self, *, restarts: bool = True) -> None:
        self.now = 100.0
        self.events = Broadcast()
        self.recorder = Recorder(self.events, RESTARTS if restarts else None, lambda: self.now)

    def fails(self, failures: int) -> None:
        child = Child(
            ref=REF,
            digest="d",
            state=State.BACKOFF,
            since=100.0,
            reason="ended with exit code 1",
            failures=failures,
            due=104.0,
        )
        self.recorder.ended(child, 1, child.reason)


def test_a_sensor_that_keeps_failing_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = World()
    for failures in range(1, 6):
        world.fails(failures)
    assert caplog.text.count("p.S ended with exit code 1, starts again in 4.0 s") == 5
    assert caplog.text.count("p.S keeps failing: 3 times in a row; restarts go on forever, up to 300 s apart") == 1


def test_one_sensor_alone_is_not_said_to_start_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    World(restarts=False).fails(3)
    assert [record.getMessage() for record in caplog.records] == ["p.S ended with exit code 1"]


def test_a_poll_is_timed_and_one_whose_process_has_ended_runs_no_more() -> None:
    world = World()
    world.recorder.polls(REF, running=True)
    world.now += 3
    poll = world.recorder.of(REF).poll_of(world.now)
    assert poll is not None
    assert (poll.running, poll.seconds) == (True, 3.0)
    world.recorder.polls(REF, running=False)
    world.recorder.polls(REF, running=False)
    past = world.recorder.of(REF)
    assert (past.polls, past.poll_seconds) == (1, 3.0)
    world.recorder.polls(REF, running=True)
    world.fails(1)
    world.now += 3
    poll = past.poll_of(world.now)
    assert poll is not None
    assert poll.seconds == 0.0


def test_an_error_keeps_its_end_and_reaches_watchers() -> None:
    world = World()
    with world.events.watched([broadcast.ERROR]) as watcher:
        world.recorder.failed(REF, "x" * LONGEST + "KeyError: 'host'")
        error = world.recorder.of(REF).last_error
        assert error is not None
        assert len(error.text) == LONGEST
        assert error.text.endswith("KeyError: 'host'")
        assert [event["sensor"] for event in watcher.taken()] == [REF]


def test_stacks_complete_the_error_that_they_belong_to() -> None:
    world = World()
    world.recorder.stacks(REF, ["nobody asked for them"])
    assert world.recorder.of(REF).last_error is None
    world.recorder.overdue(REF, "poll() has taken more than 5 s")
    world.recorder.stacks(REF, [])
    world.recorder.stacks(REF, ["Thread 0x1:", "  File x"])
    error = world.recorder.of(REF).last_error
    assert error is not None
    assert error.text == "poll() has taken more than 5 s; its threads were here:\nThread 0x1:\n  File x"


def test_what_is_not_registered_any_more_is_forgotten() -> None:
    world = World()
    world.recorder.started(REF, 4000)
    world.recorder.started(REF, 4001)
    assert (world.recorder.sensors, world.recorder.of(REF).restarts) == ([REF], 1)
    world.recorder.forget(REF)
    world.recorder.forget("p.Other")
    assert (world.recorder.sensors, world.recorder.of(REF).starts) == ([], 0)
