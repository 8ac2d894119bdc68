"""Calls into a loop, and background tasks."""

from __future__ import annotations

import asyncio
import gc
import threading

from st2sensor.system.event_loop import Tasks, call_in_loop
from tests.plugins.patience import SOON


def test_a_call_is_made_in_the_loops_thread_and_dropped_once_that_is_closed() -> None:
    async def main() -> None:
        loop, made = asyncio.get_running_loop(), asyncio.Event()
        threads: list[threading.Thread] = []

        def call(number: int) -> None:
            assert number == 5
            threads.append(threading.current_thread())
            made.set()

        await asyncio.to_thread(call_in_loop, loop, call, 5)
        async with asyncio.timeout(SOON):
            await made.wait()
        assert threads == [threading.current_thread()]

    asyncio.run(main())
    loop = asyncio.new_event_loop()
    loop.close()
    call_in_loop(loop, lambda: None)


def test_tasks_are_kept_until_they_are_done() -> None:
    async def main() -> None:
        tasks = Tasks()
        assert not tasks
        done: list[str] = []

        async def work(waits: asyncio.Future[None]) -> None:
            await waits
            done.append("done")

        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        tasks.start(work(first))
        tasks.start(work(second))
        await asyncio.sleep(0)
        gc.collect()
        assert len(tasks) == 2
        first.set_result(None)
        async with asyncio.timeout(SOON):
            while len(tasks) == 2:
                await asyncio.sleep(0)
        cancelled = tasks.cancel()
        assert len(cancelled) == 1
        await asyncio.wait(cancelled)
        assert done == ["done"]
        assert cancelled[0].cancelled()

    asyncio.run(main())
