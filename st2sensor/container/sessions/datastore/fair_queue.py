"""A queue that limits how many items of one owner are worked on at a time."""

from __future__ import annotations

import threading
from collections import Counter, deque
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """For any thread.

    :param share: maximum number of items of one owner that may be worked on at a time.
    """

    def __init__(self, share: int) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[T]] = {}
        self._turns: SimpleQueue[str | None] = SimpleQueue()
        """Owners, once for each of their items that may be taken; None marks the end."""
        self._given: Counter[str] = Counter()
        """Number of an owner's items that are being worked on or may be taken."""
        self._working: Counter[str] = Counter()
        self._idle = 0
        self._closed = False

    def put(self, owner: str, item: T) -> bool:
        """Add an item. Returns True when there are fewer idle takers than items that may be taken."""
        with self._lock:
            self._waiting.setdefault(owner, deque()).append(item)
            if self._given[owner] < self._share:
                self._given[owner] += 1
                self._turns.put(owner)
            return self._turns.qsize() > self._idle

    def get(self) -> T | None:
        """Wait for an item, and return it; None once the queue is closed and empty.

        The caller must call `done` when its work on the item is over.
        """
        with self._lock:
            self._idle += 1
        owner = self._turns.get()
        with self._lock:
            self._idle -= 1
            if owner is None:
                # Pass the end on to the other takers.
                self._turns.put(None)
                return None
            item = self._waiting[owner].popleft()
            self._working[owner] += 1
            if not self._waiting[owner]:
                del self._waiting[owner]
                self._end_if_empty()
            return item

    def done(self, owner: str) -> None:
        """End the work on an item, so that the owner's next item may be taken."""
        with self._lock:
            self._working[owner] -= 1
            may_be_taken = self._given[owner] - self._working[owner] - 1
            if len(self._waiting.get(owner, ())) > may_be_taken:
                self._turns.put(owner)
                return
            self._given[owner] -= 1
            if not self._given[owner]:
                del self._given[owner], self._working[owner]

    def close(self) -> None:
        """Make every `get` return None once nothing is left."""
        with self._lock:
            self._closed = True
            self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self._closed and not self._waiting:
            self._turns.put(None)
