"""A pool whose threads are all started at once: later the system may be unable to start one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

R = TypeVar("R")

SHUTDOWN_TIMEOUT = 1.0
"""Seconds that `shutdown` waits for calls in progress."""

_Item = tuple["Future[Any]", Callable[[], Any]]


class Threads(Executor):
    """An executor with daemon threads. The end of the process does not wait for a call that never returns, for example
    one to a database that does not answer.

    :param count: the number of threads.
    :param name: the prefix of their names.

    Raises RuntimeError when they cannot be started.
    """

    def __init__(self, count: int, name: str) -> None:
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(count)]
        self._closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., R], /, *arguments: Any, **named: Any) -> Future[R]:
        """Make a thread call a function. Raises RuntimeError after `shutdown`."""
        if self._closed:
            raise RuntimeError("these threads have ended")
        future: Future[R] = Future()
        self._queue.put((future, lambda: function(*arguments, **named)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End the threads.

        :param wait: wait for calls in progress, up to SHUTDOWN_TIMEOUT.
        :param cancel_futures: drop the calls that wait for their turn.
        """
        self._closed = True
        if cancel_futures:
            self._cancel()
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + SHUTDOWN_TIMEOUT
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
            # Do not keep the result in memory until the next call.
            del item


def _make(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 (raised again where the result is awaited)
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        # The error's traceback holds this frame. If the frame held the future, that cycle would keep everything that
        # the call used in memory until the garbage collector runs.
        del future
