"""Writes to one destination of the log in a thread of its own, so that a blocking destination blocks nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MOST_BYTES = 8_000_000
"""Maximum number of bytes that wait for one destination. Further bytes are dropped."""

Item = tuple[int, Callable[[], object]]
"""A number of bytes, and the function that writes them."""

_WRITERS: weakref.WeakSet[Writer] = weakref.WeakSet()


class Writer:
    """Calls functions that may block, in order, in a thread. For any thread; only `drain` waits.

    In a fork of this process, which lacks the thread, functions are called at once.

    :param name: name of the thread.
    :param tell_dropped: writes a line that says how many items were dropped.
    :param most: maximum number of bytes that wait.

    Raises RuntimeError if the thread cannot be started.
    """

    def __init__(self, name: str, tell_dropped: Callable[[int], object], *, most: int = MOST_BYTES) -> None:
        self._tell_dropped = tell_dropped
        self._most = most
        # Its lock is reentrant, because a destructor that runs during a call of `put` may log as well.
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._size = 0
        self._dropped = 0
        self._first: dict[object, Callable[[], object]] = {}
        self._busy = False
        self._ended = False
        self._forked = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        # Signals must reach the threads that wait for them, even before their handlers are installed.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        _WRITERS.add(self)

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is this writer's."""
        return threading.current_thread() is self._thread

    def put(self, size: int, write: Callable[[], object]) -> None:
        """Make the thread call a function after all earlier ones, or count the function as dropped if there is no
        space.

        :param size: bytes that the function keeps in memory.
        """
        if self._forked:
            _call(write)
            return
        with self._changed:
            if self._ended or self._size + size > self._most:
                self._dropped += 1
                return
            if self._dropped:
                self._append(0, self._notice())
            self._append(size, write)
            self._changed.notify()

    def put_first(self, key: object, call: Callable[[], object]) -> None:
        """Make the thread call a function before the next item. A later function of the same key replaces it."""
        with self._changed:
            self._first[key] = call
            self._changed.notify()

    def drain(self, until: float) -> bool:
        """Wait until everything is written, and drop all that comes later. Returns False if that takes too long.

        :param until: time of the monotonic clock.
        """
        with self._changed:
            done = self._changed.wait_for(self._is_idle, max(0.0, until - time.monotonic()))
            self._ended = True
            return done

    def _is_idle(self) -> bool:
        return self._forked or not (self._busy or self._has_work())

    def _has_work(self) -> bool:
        return bool(self._first or self._items or (self._dropped and not self._ended))

    def _append(self, size: int, write: Callable[[], object]) -> None:
        self._items.append((size, write))
        self._size += size

    def _notice(self) -> Callable[[], object]:
        """Return a function that writes how many items were dropped, and begin to count again."""
        dropped, self._dropped = self._dropped, 0
        return lambda: self._tell_dropped(dropped)

    def _work(self) -> None:
        while True:
            size, write = self._next()
            _call(write)
            # The objects that the function holds must not stay in memory while there is nothing to do.
            del write
            with self._changed:
                self._size -= size
                self._busy = False
                if not self._has_work():
                    # A caller of `drain` may be waiting.
                    self._changed.notify_all()

    def _next(self) -> Item:
        with self._changed:
            while not self._has_work():
                self._changed.wait()
            self._busy = True
            if self._first:
                return 0, self._first.pop(next(iter(self._first)))
            if self._items:
                return self._items.popleft()
            return 0, self._notice()

    def _after_fork(self) -> None:
        """Continue without the thread, and drop its waiting items: the parent writes them."""
        self._forked = True
        self._items.clear()
        self._first.clear()
        self._changed = threading.Condition()


def _call(write: Callable[[], object]) -> None:
    # A destination that fails must not end the thread. The log's handlers report their own errors.
    with suppress(Exception):
        write()


def _forked() -> None:
    for writer in list(_WRITERS):
        writer._after_fork()


os.register_at_fork(after_in_child=_forked)
