"""Calls into an event loop from other threads."""

from __future__ import annotations

import asyncio
import threading

from st2sensor.system.loops import call_in_loop
from tests.plugins.patience import SOON


def test_the_function_runs_in_the_loops_thread() -> None:
    async def run() -> tuple[str, threading.Thread]:
        loop = asyncio.get_running_loop()
        called: asyncio.Future[tuple[str, threading.Thread]] = loop.create_future()

        def call(text: str) -> None:
            called.set_result((text, threading.current_thread()))

        caller = threading.Thread(target=call_in_loop, args=(loop, call, "done"))
        caller.start()
        async with asyncio.timeout(SOON):
            return await called

    assert asyncio.run(run()) == ("done", threading.current_thread())


def test_a_closed_loop_is_nobody_to_notify() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    calls: list[str] = []
    call_in_loop(loop, calls.append, "late")
    assert not calls
