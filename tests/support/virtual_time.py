"""An event loop whose clock jumps to the next timer instead of waiting, so that tests of timers take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with real files but virtual time. Do not wait for threads: nothing would happen meanwhile."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("nothing is left that could happen: the test would wait forever")
        if not events and timeout:
            self._loop.now += timeout
        return events


def run_in_virtual_time(main: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
