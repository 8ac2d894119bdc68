"""Helpers for asyncio's event loop: calls from other threads, and background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Make the loop's thread call a function soon. Safe in any thread; does nothing once the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


class Tasks:
    """Background tasks. Keeps a reference to each until it is done: the loop itself holds only weak ones.

    For the loop's thread.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return the number of tasks that are not done."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self, timeout: float) -> None:
        """Wait until all tasks are done, for at most `timeout` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel all tasks, without waiting. Returns them."""
        cancelled = list(self._tasks)
        for task in cancelled:
            task.cancel()
        return cancelled
