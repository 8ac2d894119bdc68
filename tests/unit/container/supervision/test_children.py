"""How sensors start, fail, start again and stop, in virtual time and with fake processes."""

from __future__ import annotations

import asyncio
import logging
import signal

import pytest

from st2sensor.container.desired.membership import OVER
from st2sensor.container.supervision.child import State
from st2sensor.container.supervision.children import CANNOT_START
from st2sensor.errors import ConfigError
from st2sensor.models import Overrides, SensorType
from st2sensor.settings import Sharing
from tests.support.supervised_node import REF, Node, sensor_type
from tests.support.virtual_time import run_in_virtual_time


def test_a_sensor_that_fails_waits_longer_each_time_until_it_has_run_well() -> None:
    async def main() -> None:
        node, waits = Node(), []
        for _ in range(3):
            (await node.running()).exit(1)
            child = await node.gone()
            assert (child.state, child.reason) == (State.BACKOFF, "ended with exit code 1")
            assert child.due is not None
            waits.append(round(child.due - child.since))
        assert waits == [1, 2, 4]
        process = await node.running()
        await asyncio.sleep(60)
        process.exit(1)
        assert (await node.gone()).failures == 1
        assert [code for _, code in node.ended] == [1, 1, 1, 1]
        assert node.forgotten == [4000, 4001, 4002, 4003]

    run_in_virtual_time(main())


def test_failures_are_counted_only_while_a_sensor_stays_the_same() -> None:
    async def main() -> None:
        node = Node()
        (await node.started(digest="old")).exit(1)
        assert (await node.gone()).failures == 1
        (await node.started(digest="new")).exit(1)
        assert (await node.gone()).failures == 1

    run_in_virtual_time(main())


@pytest.mark.parametrize(("code", "words"), [(143, "stopped, as asked"), (3, "ended with exit code 3")])
def test_the_last_exit_of_a_sensor_that_was_stopped_says_so(code: int, words: str) -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        node.children.stop(REF, "for a test")
        process.exit(code)
        assert (await node.gone()).state is State.STOPPED
        last = node.recorder.of(REF).last_exit
        assert last is not None
        assert last.text == words

    run_in_virtual_time(main())


def test_a_sensor_that_ends_by_itself_with_0_is_finished() -> None:
    async def main() -> None:
        node = Node()
        (await node.running()).exit(0)
        assert (await node.gone()).state is State.FINISHED
        assert node.announced == ["core.st2.sensor.process_spawn S", "core.st2.sensor.process_exit S"]

    run_in_virtual_time(main())


def test_a_failure_is_explained_by_the_last_line_that_was_printed() -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        process.print("Traceback (most recent call last):\nKeyError: 'host'\n")
        process.exit(1)
        assert (await node.gone()).reason == "ended with exit code 1 (KeyError: 'host')"

    run_in_virtual_time(main())


def test_a_stop_is_asked_for_each_second_and_ends_in_a_kill(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = Node(stop_timeout=2.5)
        process = await node.running()
        node.children.stop(REF, "a test stops it")
        child = await node.gone()
        assert process.asked == [(0.0, "terminate"), (1.0, "insist"), (2.0, "insist"), (2.5, "kill")]
        assert (child.state, child.reason) == (State.STOPPED, "a test stops it")
        assert node.ended == [(child, -signal.SIGKILL)]
        # Rules about exits watch for failures, as in StackStorm.
        assert node.announced == ["core.st2.sensor.process_spawn S"]
        # No timer runs on for a process that has ended: its id may soon belong to another process.
        await asyncio.sleep(100)
        assert process.asked[-1] == (2.5, "kill")

    run_in_virtual_time(main())
    assert "p.S did not stop within 2.5 s: killed" in caplog.text


def test_a_wrapper_that_has_not_connected_yet_gets_no_signal_but_sigterm() -> None:
    async def main() -> None:
        node = Node(stop_timeout=1.5)
        process = await node.started()
        node.children.stop(REF, "a test stops it")
        await node.gone()
        assert [what for _, what in process.asked] == ["terminate", "terminate", "kill"]

    run_in_virtual_time(main())


def test_calls_of_a_stopping_sensor_are_released_until_it_has_ended() -> None:
    async def main() -> None:
        node = Node(stop_timeout=10.0)
        process = await node.running()
        asked_at = node.loop.time()
        node.children.stop(REF, "a test stops it")
        await asyncio.sleep(2.5)
        process.exit(0)
        await node.gone()
        assert [(round(time - asked_at), since - asked_at) for time, since, _ in node.released] == [
            (0, 0.0),
            (1, 0.0),
            (2, 0.0),
        ]
        await asyncio.sleep(100)
        assert len(node.released) == 3

    run_in_virtual_time(main())


def test_under_a_short_lease_calls_are_released_within_its_grace() -> None:
    async def main() -> None:
        node = Node(stop_timeout=60.0, sharing=Sharing(lease=10.0))
        await node.running()
        node.children.stop(REF, "a test stops it")
        assert [patience for _, _, patience in node.released] == [pytest.approx(0.1)]
        node.children.kill_all()
        await node.gone()

    run_in_virtual_time(main())


def test_a_sensor_that_is_asked_to_stop_before_it_has_a_process_gets_none() -> None:
    async def main() -> None:
        node = Node()
        node.gate = node.loop.create_future()
        node.children.start(*_sensor())
        await asyncio.sleep(0)
        node.children.stop(REF, "a test stops it")
        node.gate.set_result(None)
        child = await node.gone()
        assert child.state is State.STOPPED
        assert (node.processes, node.ended) == ([], [(child, CANNOT_START)])

    run_in_virtual_time(main())


def test_a_sensor_that_is_asked_to_stop_while_it_is_forked_is_stopped_at_once() -> None:
    async def main() -> None:
        node = Node()

        async def start_and_stop(launch: object) -> object:
            node.children.stop(REF, "a test stops it")
            return await Node.start(node, launch)  # type: ignore[arg-type]

        node.start = start_and_stop  # type: ignore[method-assign, assignment]
        process = await node.started()
        assert [what for _, what in process.asked] == ["terminate"]
        process.exit(-signal.SIGTERM)
        assert (await node.gone()).state is State.STOPPED

    run_in_virtual_time(main())


@pytest.mark.parametrize("broken", ["prepare_error", "start_error"])
def test_a_start_that_fails_says_why_and_is_repeated_like_a_failure(broken: str) -> None:
    async def main() -> None:
        node = Node()
        setattr(node, broken, ConfigError("there is no such user"))
        node.children.start(*_sensor())
        await asyncio.sleep(0)
        child = await node.gone()
        assert (child.state, child.failures) == (State.BACKOFF, 1)
        assert child.reason == "cannot be started: there is no such user"
        error = node.recorder.of(REF).last_error
        assert error is not None
        assert error.text == child.reason
        assert node.ended == [(child, CANNOT_START)]

    run_in_virtual_time(main())


def test_an_unexpected_error_of_a_start_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = Node()
        node.prepare_error = ZeroDivisionError("a defect")
        node.children.start(*_sensor())
        await asyncio.sleep(0)
        assert (await node.gone()).state is State.BACKOFF

    run_in_virtual_time(main())
    assert "p.S cannot be started" in caplog.text
    assert "ZeroDivisionError: a defect" in caplog.text


def test_a_sensor_killed_after_its_lease_was_lost_did_not_fail() -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        node.lease_lost = True
        process.exit(-signal.SIGKILL)
        child = await node.gone()
        assert (child.state, child.reason, child.failures) == (State.STOPPED, OVER, 0)

    run_in_virtual_time(main())


def test_last_messages_that_cannot_be_handled_keep_no_sensor_from_its_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        node.hang_up_error = ValueError("a defect")
        process.exit(1)
        assert (await node.gone()).state is State.BACKOFF
        assert node.hung_up == [REF]

    run_in_virtual_time(main())
    assert "p.S: the last messages of its process cannot be handled" in caplog.text


def test_a_sensor_that_is_stopping_is_not_asked_again() -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        node.children.stop(REF, "the first reason")
        node.children.stop_all("the container is stopping")
        assert [what for _, what in process.asked] == ["terminate"]
        assert node.child.reason == "the first reason"
        process.exit(0)
        await node.gone()
        assert node.children.alive == []

    run_in_virtual_time(main())


def test_an_operator_ends_the_wait_of_a_sensor_that_has_failed() -> None:
    async def main() -> None:
        node = Node()
        (await node.running()).exit(1)
        await node.gone()
        node.wake.clear()
        node.children.start_now(REF)
        assert (node.child.state, node.child.due, node.child.failures) == (State.STOPPED, None, 0)
        assert node.wake.is_set()

    run_in_virtual_time(main())


def test_a_sensor_is_told_of_the_level_of_its_log_only_when_that_changes() -> None:
    async def main() -> None:
        node = Node()
        process = await node.running(Overrides(log_level="WARNING"))
        assert node.children.override(REF, Overrides(log_level="WARNING")) is None
        assert node.children.override(REF, Overrides(log_level="DEBUG")) == logging.DEBUG
        assert node.reports.log_level(REF) == logging.DEBUG
        process.exit(0)
        await node.gone()
        assert node.children.override(REF, Overrides(log_level="ERROR")) is None
        node.children.forget(REF)
        assert REF not in node.children.states

    try:
        run_in_virtual_time(main())
    finally:
        logging.getLogger(REF).setLevel(logging.NOTSET)


def _sensor() -> tuple[SensorType, Overrides, str]:
    return sensor_type(), Overrides(), "d"
