"""The threads that make the datastore's calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from st2sensor.container.sessions.datastore.call import Call
from st2sensor.container.sessions.datastore.fair_queue import FairQueue

LOG = logging.getLogger("st2sensor.datastore")

MOST_THREADS = 8
"""Maximum number of threads. A thread is started only when all others are busy."""

SHARE = 2
"""Number of threads that one sensor may use at a time."""


class CallThreads:
    """Makes calls in threads, a few at a time for each sensor. For the loop's thread.

    :param make: makes a call; runs in one of the threads.
    """

    def __init__(self, make: Callable[[Call], None]) -> None:
        self._make = make
        self._queue: FairQueue[Call] = FairQueue(SHARE)
        self._count = 0
        self._can_start = True

    def put(self, call: Call) -> None:
        """Queue a call, which is made as soon as a thread is free."""
        if self._queue.put(call.owner, call) and self._count < MOST_THREADS:
            self._start()

    def ensure_one(self) -> None:
        """Start a thread if there is none because earlier attempts to start one failed."""
        if not self._count:
            self._start()

    def close(self) -> None:
        """End the threads once the queued calls are made. Does not wait."""
        self._queue.close()

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name=f"datastore-{self._count}", daemon=True).start()
        except RuntimeError as error:
            # Until their deadlines, the queued calls wait for the other threads, or for the next attempt.
            if self._can_start:
                LOG.error("%d threads are making datastore calls, and no more can be started: %s", self._count, error)
            self._can_start = False
        else:
            self._count += 1
            self._can_start = True

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            try:
                self._make(call)
            except Exception:
                LOG.exception("%s: a datastore call cannot be made", call.owner)
            finally:
                self._queue.done(call.owner)
            # Do not keep the call in memory until the next one.
            del call
