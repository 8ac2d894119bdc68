"""A few worker processes. Any thread can call a function in one of them, and wait for the result."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Condition, Event, Thread
from typing import Any

from st2sensor.errors import WorkersBusy, WorkExceeded
from st2sensor.workers.limits import USUAL, Limits
from st2sensor.workers.worker import Worker

TURN_TIMEOUT = 60.0
"""Seconds that a task waits for its turn."""

IDLE_WORKER_TIMEOUT = 60.0
"""Seconds without a task after which a worker process is ended. The next task starts one again."""


class Pool:
    """Calls functions in worker processes. For any thread.

    The pool uses no resources until the first task, and hardly any once there are no more tasks.

    :param functions: functions by name, as `package.module:function`. Each is written as one literal, so that
        tests/test_layers.py sees it. They take and return JSON values, and must not catch MemoryError.
    :param processes: maximum number of tasks that run at the same time.
    :param waiting: maximum number of tasks that may wait for their turn.
    :param patience: maximum number of seconds that a task waits for its turn.
    :param idle_timeout: seconds without a task after which a process is ended.
    """

    def __init__(
        self,
        functions: Mapping[str, str],
        *,
        processes: int = 2,
        waiting: int = 1000,
        patience: float = TURN_TIMEOUT,
        idle_timeout: float = IDLE_WORKER_TIMEOUT,
        limits: Limits = USUAL,
    ) -> None:
        self._functions = functions
        self._waiting = waiting
        self._patience = patience
        self._idle_timeout = idle_timeout
        self._limits = limits
        self._free = processes
        """Number of tasks that may still start."""
        self._idle: list[tuple[Worker, float]] = []
        """Idle workers and since when, on the monotonic clock. The last one is used first: its memory is warm."""
        self._busy: set[Worker] = set()
        self._queue: deque[object] = deque()
        self._changed = Condition()
        self._closing = Event()
        self._reaper: Thread | None = None
        """The thread that ends idle workers, while there are any."""

    def run(self, name: str, arguments: Sequence[Any] | bytes, timeout: float) -> Any:
        """Call a function in a worker process. Blocks.

        :param arguments: the function's arguments, or a JSON array of them, encoded.
        :param timeout: seconds that the call may take, once it is its turn.

        Raises WorkExceeded when the call takes more time or memory than allowed; WorkersBusy when its turn does not
        come; WorkFailed when the function raises, or its process cannot be started or dies; TypeError and ValueError
        for arguments that are not JSON.
        """
        request = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        if len(request) > self._limits.request:
            limit = self._limits.request
            raise WorkExceeded(
                f"{name} was given {len(request):,} bytes of arguments; the limit is {limit:,}", what="request"
            )
        self._wait_for_turn(name)
        worker = None
        try:
            worker = self._take()
            return worker.call(name, request, timeout)
        finally:
            self._give_back(worker)

    def close(self) -> None:
        """End all processes. Tasks in progress fail."""
        self._closing.set()
        with self._changed:
            for worker, _ in self._idle:
                worker.kill()
            for worker in self._busy:
                worker.interrupt()
            self._idle.clear()
            self._changed.notify_all()

    def _wait_for_turn(self, name: str) -> None:
        me = object()
        until = time.monotonic() + self._patience
        with self._changed:
            if self._free <= 0 and len(self._queue) >= self._waiting:
                raise WorkersBusy(f"{name} was not run: {len(self._queue)} tasks are already waiting")
            self._queue.append(me)
            try:
                while not self._closing.is_set() and (self._queue[0] is not me or self._free <= 0):
                    if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                        raise WorkersBusy(f"{name} was not run: others took more than {self._patience:g} s")
                if self._closing.is_set():
                    raise WorkersBusy(f"{name} was not run: its worker processes have ended")
                self._free -= 1
            finally:
                self._queue.remove(me)
                self._changed.notify_all()

    def _take(self) -> Worker:
        with self._changed:
            while self._idle:
                worker, _ = self._idle.pop()
                if worker.is_alive:
                    self._busy.add(worker)
                    return worker
                # Another program has killed the worker.
                worker.kill()
        worker = Worker(self._functions, self._limits)
        with self._changed:
            self._busy.add(worker)
            if self._closing.is_set():
                worker.interrupt()
        return worker

    def _give_back(self, worker: Worker | None) -> None:
        with self._changed:
            self._free += 1
            if worker is not None:
                self._busy.discard(worker)
                if worker.is_alive and not self._closing.is_set():
                    self._idle.append((worker, time.monotonic()))
                    self._start_reaper()
                else:
                    worker.kill()
            self._changed.notify_all()

    def _start_reaper(self) -> None:
        if self._reaper is None:
            reaper = Thread(target=self._reap, name="worker-reaper", daemon=True)
            # If no thread can be started, the worker stays until the next task.
            with suppress(RuntimeError):
                reaper.start()
                self._reaper = reaper

    def _reap(self) -> None:
        """End workers that have been idle for too long, until no idle or busy workers are left."""
        while True:
            with self._changed:
                now = time.monotonic()
                while self._idle and now - self._idle[0][1] >= self._idle_timeout:
                    self._idle.pop(0)[0].kill()
                if self._closing.is_set() or not (self._idle or self._busy):
                    self._reaper = None
                    return
                since = self._idle[0][1] if self._idle else now
            self._closing.wait(since + self._idle_timeout - now)
