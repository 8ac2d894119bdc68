"""The reports of wrappers: their hellos, and the methods that a sensor is in."""

from __future__ import annotations

import asyncio

from st2sensor.container.supervision.child import State
from st2sensor.models import Overrides
from tests.support.supervised_node import REF, Node, sensor_type
from tests.support.virtual_time import run_in_virtual_time


def test_a_wrapper_may_say_hello_before_its_start_is_known_here() -> None:
    async def main() -> None:
        node = Node()
        node.gate = node.loop.create_future()
        node.children.start(sensor_type(), Overrides(), "d")
        await asyncio.sleep(0)
        (token,) = node.table.births
        hello = asyncio.create_task(node.reports.sensor_of(token))
        await asyncio.sleep(1)
        assert not hello.done()
        node.gate.set_result(None)
        assert await hello == REF

    run_in_virtual_time(main())


def test_a_token_is_worth_nothing_once_its_process_has_ended() -> None:
    async def main() -> None:
        node = Node()
        process = await node.running()
        token = node.table.runs[REF].token
        process.exit(0)
        await node.gone()
        assert await node.reports.sensor_of(token) is None
        assert await node.reports.sensor_of("guessed") is None

    run_in_virtual_time(main())


def test_ready_means_running_once() -> None:
    async def main() -> None:
        node = Node()
        await node.running()
        assert (node.child.state, node.child.reason) == (State.RUNNING, "setup() was entered")
        assert node.wake.is_set()
        node.children.stop(REF, "a test stops it")
        node.reports.is_ready(REF)
        assert node.child.state is State.STOPPING

    run_in_virtual_time(main())


def test_the_oldest_method_is_what_a_sensor_is_in_until_cleanup() -> None:
    async def main() -> None:
        node = Node()
        await node.running()
        activity = node.table.activity_of(REF)
        assert activity is not None
        oldest = [activity.oldest]
        node.reports.is_set_up(REF)
        oldest.append(activity.oldest)
        node.reports.polls(REF, running=True, interval=7.0)
        await asyncio.sleep(1)
        node.reports.hears(REF, "update_trigger", running=True)
        oldest.append(activity.oldest)
        node.reports.ends(REF)
        oldest.append(activity.oldest)
        assert [doing and doing.what for doing in oldest] == ["setup()", None, "poll()", "cleanup()"]
        assert activity.poll_interval == 7.0

    run_in_virtual_time(main())


def test_reports_that_come_after_the_end_are_ignored() -> None:
    async def main() -> None:
        node = Node()
        (await node.running()).exit(1)
        await node.gone()
        node.reports.polls(REF, running=True, interval=1.0)
        node.reports.log(REF, "sensor", 20, "too late")
        node.reports.ends(REF)
        assert node.child.state is State.BACKOFF

    run_in_virtual_time(main())
