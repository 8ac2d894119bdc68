"""The limits of a sensor's process: the time of its methods, and its memory."""

from __future__ import annotations

import asyncio

import pytest

from st2sensor.container.supervision import memory
from st2sensor.container.supervision.child import State
from st2sensor.models import Overrides
from tests.support.supervised_node import REF, Node
from tests.support.virtual_time import run_in_virtual_time


def test_a_call_that_exceeds_its_limit_shows_its_threads_and_is_stopped_as_failed() -> None:
    async def main() -> None:
        node = Node(poll_timeout=5.0)
        process = await node.running()
        node.reports.polls(REF, running=True, interval=None)
        await asyncio.sleep(5.1)
        process.print('Thread 0x0001 (most recent call first):\n  File "sensor.py", line 7 in poll\n')
        await asyncio.sleep(0.2)
        assert process.asked == [(5.0, "dump_stacks"), (5.2, "terminate")]
        assert node.child.state is State.STOPPING
        process.exit(0)
        child = await node.gone()
        assert (child.state, child.failures) == (State.BACKOFF, 1)
        assert child.reason == "was stopped because poll() took more than 5 s"
        error = node.recorder.of(REF).last_error
        assert error is not None
        assert error.text.startswith("poll() has taken more than 5 s; its threads were here:")
        assert 'File "sensor.py", line 7 in poll' in error.text

    run_in_virtual_time(main())


def test_a_call_that_returns_in_time_is_left_alone() -> None:
    async def main() -> None:
        node = Node(poll_timeout=5.0)
        process = await node.running()
        for _ in range(3):
            node.reports.polls(REF, running=True, interval=None)
            await asyncio.sleep(4.9)
            node.reports.polls(REF, running=False, interval=None)
        await asyncio.sleep(100)
        assert process.asked == []

    run_in_virtual_time(main())


def test_the_threads_of_a_sensor_have_limits_of_their_own() -> None:
    async def main() -> None:
        node = Node(poll_timeout=50.0, trigger_timeout=3.0)
        process = await node.running()
        node.reports.hears(REF, "add_trigger", running=True)
        # A poll() that begins or returns says nothing about add_trigger().
        node.reports.polls(REF, running=True, interval=None)
        node.reports.polls(REF, running=False, interval=None)
        await asyncio.sleep(3.5)
        assert node.child.reason == "was stopped because add_trigger() took more than 3 s"
        process.exit(0)
        await node.gone()

    run_in_virtual_time(main())


@pytest.mark.parametrize(("override", "stops"), [(None, True), (0.0, False), (2.0, True)])
def test_an_override_replaces_a_limit_and_0_removes_it(override: float | None, stops: bool) -> None:
    async def main() -> None:
        node = Node(setup_timeout=5.0)
        process = await node.running(Overrides(setup_timeout=override))
        await asyncio.sleep(6)
        assert (node.child.state is State.STOPPING) is stops
        assert [time for time, what in process.asked if what == "dump_stacks"] == ([override or 5.0] if stops else [])

    run_in_virtual_time(main())


def test_a_wrapper_that_never_connects_is_stopped_without_waiting_for_its_stacks() -> None:
    async def main() -> None:
        node = Node(start_timeout=30.0)
        process = await node.started()
        await asyncio.sleep(30.05)
        assert process.asked == [(30.0, "terminate")]
        assert node.child.reason == "was stopped because the way to setup() took more than 30 s"

    run_in_virtual_time(main())


def test_a_stop_ends_the_limits_and_cleanup_has_no_longer_than_the_stop() -> None:
    async def main() -> None:
        node = Node(poll_timeout=1.0, stop_timeout=4.0)
        process = await node.running()
        node.reports.polls(REF, running=True, interval=None)
        node.children.stop(REF, "a test stops it")
        await asyncio.sleep(3)
        node.reports.ends(REF)
        await node.gone()
        assert [what for _, what in process.asked if what != "insist"] == ["terminate", "kill"]
        assert process.asked[-1] == (4.0, "kill")

    run_in_virtual_time(main())


def test_cleanup_that_nobody_asked_for_has_as_long_as_a_stop() -> None:
    async def main() -> None:
        node = Node(stop_timeout=4.0)
        process = await node.running()
        node.reports.ends(REF)
        await asyncio.sleep(4.1)
        assert process.asked == [(4.0, "dump_stacks")]
        # A sensor that ends while it prints its stacks has ended by itself.
        process.exit(0)
        assert (await node.gone()).state is State.FINISHED

    run_in_virtual_time(main())


class Usage:
    """The memory that a sensor uses, set by a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used: int | Exception = 0
        monkeypatch.setattr(memory, "used_by", self._used_by)

    def _used_by(self, pid: int) -> int:
        assert pid == 4000
        if isinstance(self.used, Exception):
            raise self.used
        return self.used


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> Usage:
    return Usage(monkeypatch)


def test_a_sensor_that_uses_too_much_memory_is_killed_with_the_reason(usage: Usage) -> None:
    async def main() -> None:
        node = Node()
        process = await node.running(Overrides(memory=100 * 2**20))
        usage.used = 100 * 2**20
        await asyncio.sleep(10)
        assert process.asked == []
        usage.used = 300 * 2**20
        child = await node.gone()
        assert [what for _, what in process.asked] == ["terminate", "kill"]
        assert child.state is State.BACKOFF
        assert child.reason == "was killed because it used 300 MB of memory, more than its 100 MB"

    run_in_virtual_time(main())


@pytest.mark.parametrize("raised", [None, 500 * 2**20])
def test_a_limit_of_memory_may_change_while_a_sensor_runs(usage: Usage, raised: int | None) -> None:
    async def main() -> None:
        node = Node()
        process = await node.running(Overrides(memory=100 * 2**20))
        usage.used = 300 * 2**20
        node.children.override(REF, Overrides(memory=raised))
        await asyncio.sleep(10)
        assert process.asked == []
        node.children.override(REF, Overrides(memory=200 * 2**20))
        assert (await node.gone()).reason.endswith("more than its 200 MB")

    run_in_virtual_time(main())


def test_memory_that_cannot_be_measured_is_measured_again(usage: Usage, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = Node()
        await node.running(Overrides(memory=1))
        usage.used = ValueError("a line of another form")
        await asyncio.sleep(5)
        assert node.child.state is State.RUNNING
        usage.used = 2
        assert (await node.gone()).state is State.BACKOFF

    run_in_virtual_time(main())
    assert caplog.text.count("p.S: its memory cannot be measured for now") == 2


def test_a_sensor_that_stops_is_not_killed_for_its_memory(usage: Usage) -> None:
    async def main() -> None:
        node = Node(stop_timeout=20.0)
        process = await node.running(Overrides(memory=1))
        node.children.stop(REF, "a test stops it")
        usage.used = 2
        await asyncio.sleep(10)
        assert "kill" not in [what for _, what in process.asked]
        process.exit(0)
        assert (await node.gone()).state is State.STOPPED

    run_in_virtual_time(main())


def test_a_stop_that_is_asked_for_while_the_stacks_are_printed_is_no_failure() -> None:
    async def main() -> None:
        node = Node(poll_timeout=5.0)
        process = await node.running()
        node.reports.polls(REF, running=True, interval=None)
        await asyncio.sleep(5.1)
        node.children.stop(REF, "a test stops it")
        await asyncio.sleep(0.5)
        assert [what for _, what in process.asked] == ["dump_stacks", "terminate"]
        process.exit(0)
        child = await node.gone()
        assert (child.state, child.reason) == (State.STOPPED, "a test stops it")

    run_in_virtual_time(main())
