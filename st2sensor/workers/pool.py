"""A few worker processes: any thread has them call a function, and waits for the result."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Condition
from typing import Any

from st2sensor.errors import WorkersBusy, WorkExceeded
from st2sensor.workers.limits import USUAL, Limits
from st2sensor.workers.worker import Worker

IDLE_WORKER_TIMEOUT = 60.0
"""Seconds that a task waits for its turn."""


class Pool:
    """For any thread. Costs nothing until the first task.

    :param functions: by name, `package.module:function`; each written out as one literal, which the test of the layers
        sees. They take and return what JSON can hold. They let MemoryError pass.
    :param processes: that run at the same time; :param waiting: tasks that wait for one.
    :param patience: seconds that a task waits for its turn.
    """

    def __init__(
        self,
        functions: Mapping[str, str],
        *,
        processes: int = 2,
        waiting: int = 1000,
        patience: float = IDLE_WORKER_TIMEOUT,
        limits: Limits = USUAL,
    ) -> None:
        self._functions = functions
        self._waiting = waiting
        self._patience = patience
        self._limits = limits
        self._free = processes
        """How many more tasks may run."""
        self._idle: list[Worker] = []
        """The one that was used last comes last, and is used first: its memory is warm."""
        self._busy: set[Worker] = set()
        self._queue: deque[object] = deque()
        self._changed = Condition()
        self._is_closed = False

    def run(self, name: str, arguments: Sequence[Any] | bytes, timeout: float) -> Any:
        """Call a function in a worker process. Blocks.

        :param arguments: what it is called with, or the JSON array of that, encoded.
        :param timeout: seconds that it may take, once it is its turn.

        Raises WorkExceeded when it takes more than it may; WorkersBusy when it does not come to its turn; WorkFailed
        when it raises something, or its process cannot be started or dies; TypeError and ValueError for arguments that
        are no JSON.
        """
        request = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        if len(request) > self._limits.request:
            most = self._limits.request
            raise WorkExceeded(f"{name} was given {len(request):,} bytes of arguments, of {most:,}", what="request")
        self._wait_for_turn(name)
        worker = None
        try:
            worker = self._take()
            return worker.call(name, request, timeout)
        finally:
            self._give_back(worker)

    def close(self) -> None:
        """End all processes, also those that work: their tasks fail."""
        with self._changed:
            self._is_closed = True
            for worker in self._idle:
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
                raise WorkersBusy(f"{name} is not done: {len(self._queue)} tasks wait already")
            self._queue.append(me)
            try:
                while not self._is_closed and (self._queue[0] is not me or self._free <= 0):
                    if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                        raise WorkersBusy(f"{name} is not done: others took more than {self._patience:g} s")
                if self._is_closed:
                    raise WorkersBusy(f"{name} is not done: its worker processes have ended")
                self._free -= 1
            finally:
                self._queue.remove(me)
                self._changed.notify_all()

    def _take(self) -> Worker:
        with self._changed:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    self._busy.add(worker)
                    return worker
                # Somebody has killed it.
                worker.kill()
        worker = Worker(self._functions, self._limits)
        with self._changed:
            self._busy.add(worker)
            if self._is_closed:
                worker.interrupt()
        return worker

    def _give_back(self, worker: Worker | None) -> None:
        with self._changed:
            self._free += 1
            if worker is not None:
                self._busy.discard(worker)
                if worker.is_alive and not self._is_closed:
                    self._idle.append(worker)
                else:
                    worker.kill()
            self._changed.notify_all()
