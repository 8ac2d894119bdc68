"""A queue that limits how many items of one owner are worked on at a time."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class _Taker(Generic[T]):
    """A thread that waits for an item."""

    __slots__ = ("item", "turn")

    def __init__(self) -> None:
        self.item: T | None = None
        self.turn = threading.Lock()
        """Held until the thread has an item, or the queue is closed."""
        self.turn.acquire()


class FairQueue(Generic[T]):
    """For any thread.

    An item is handed to one waiting thread, the one that began to wait last. The others sleep on: a queue whose threads
    share a lock, as in the standard library, wakes a second one for each item, which finds nothing.

    :param share: maximum number of items of one owner that may be worked on at a time.
    """

    def __init__(self, share: int) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()
        """Owners, once for each of their items that may be taken, while no thread waits."""
        self._working: Counter[str] = Counter()
        """Number of an owner's items that are being worked on or may be taken."""
        self._takers: list[_Taker[T]] = []
        self._closed = False

    def put(self, owner: str, item: T) -> bool:
        """Add an item. Returns True when it, or an earlier one, may be taken, but no thread is waiting."""
        with self._lock:
            self._waiting.setdefault(owner, deque()).append(item)
            if self._working[owner] < self._share:
                self._working[owner] += 1
                self._offer(owner)
            return bool(self._turns)

    def get(self) -> T | None:
        """Wait for an item, and return it; None once the queue is closed and empty.

        The caller must call `done` when its work on the item is over.
        """
        with self._lock:
            if self._turns:
                return self._next_of(self._turns.popleft())
            if self._closed and not self._waiting:
                return None
            taker: _Taker[T] = _Taker()
            self._takers.append(taker)
        taker.turn.acquire()
        return taker.item

    def done(self, owner: str) -> None:
        """End the work on an item, so that the owner's next item may be taken."""
        with self._lock:
            if len(self._waiting.get(owner, ())) > self._turns.count(owner):
                self._offer(owner)
                return
            self._working[owner] -= 1
            if not self._working[owner]:
                del self._working[owner]

    def close(self) -> None:
        """Make every `get` return None once nothing is left."""
        with self._lock:
            self._closed = True
            self._end_if_empty()

    def _offer(self, owner: str) -> None:
        """Let an owner's next item be taken. The caller holds the lock."""
        if not self._takers:
            self._turns.append(owner)
            return
        taker = self._takers.pop()
        taker.item = self._next_of(owner)
        taker.turn.release()

    def _next_of(self, owner: str) -> T:
        """Return an owner's next item. The caller holds the lock."""
        items = self._waiting[owner]
        item = items.popleft()
        if not items:
            del self._waiting[owner]
            self._end_if_empty()
        return item

    def _end_if_empty(self) -> None:
        if self._closed and not self._waiting:
            while self._takers:
                self._takers.pop().turn.release()
