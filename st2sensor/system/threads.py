"""A pool of threads that are all there from the start: later there may be no room for another."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

R = TypeVar("R")

START_TIMEOUT = 1.0
"""Seconds that `shutdown` waits for calls that are being made."""

_Item = tuple["Future[Any]", Callable[[], Any]]


class Threads(Executor):
    """Nobody waits at the end of the process for a call that never returns, as of a database that does not answer.

    :param count: how many there are. :param name: how their names begin.

    Raises RuntimeError when they cannot be started.
    """

    def __init__(self, count: int, name: str) -> None:
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(count)]
        self._closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., R], /, *arguments: Any, **named: Any) -> Future[R]:
        """Have a call made. Raises RuntimeError after `shutdown`."""
        if self._closed:
            raise RuntimeError("these threads have ended")
        future: Future[R] = Future()
        self._queue.put((future, lambda: function(*arguments, **named)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End.

        :param wait: for the calls that are being made, up to START_TIMEOUT.
        :param cancel_futures: do not make those that wait for their turn.
        """
        self._closed = True
        if cancel_futures:
            self._cancel()
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + START_TIMEOUT
        for thread in self._threads if wait else ():
            thread.join(max(0.0, until - time.monotonic()))

    def _cancel(self) -> None:
        try:
            while True:
                item = self._queue.get_nowait()
                if item is not None:
                    item[0].cancel()
        except Empty:
            return

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            _make(*item)
            # What it returned is not kept until the next call.
            del item


def _make(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 (raised again where somebody waits for it)
        future.set_exception(error)
    else:
        future.set_result(result)
