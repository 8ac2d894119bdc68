"""The thread that writes the outbox. It commits all entries that arrived since the last commit together, and notifies
each submitter.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from contextlib import suppress

from st2sensor.errors import OutboxError
from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.commits import Commits
from st2sensor.outbox.database.store import Store
from st2sensor.outbox.entry import flaw_of, size_of
from st2sensor.outbox.incoming import Expect, Free, Item, Limit, Restrict, Signal, Stop, Submitted
from st2sensor.outbox.upkeep import Upkeep
from st2sensor.outbox.waiting import BATCH, Room, Waiting, room_of, tell
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

ROOM_AGAIN = 0.9
"""Share of the limit below which an outbox that was full accepts entries again."""

BATCH_DELAY = 0.0003
"""Seconds that a commit waits for more entries if the last commit had several, but fewer than CROWD."""

CROWD = 32
"""Number of entries that make a commit worth its cost without waiting for more."""

LAZY_DELETE = 0.2
"""Seconds that settled rows may wait to share a commit with new entries."""

DELETED_TOGETHER = 200
"""Number of settled rows that are worth a commit of their own."""

FILE_CHECK_INTERVAL = 1.0
"""Seconds between two checks of the file."""

TOO_LARGE = "it is larger than the limit for all dead letters together ([outbox] dead_letters_max_size)"
"""Why a dead letter is refused."""


class Writer:
    """Owns the thread. No other thread changes what is on disk."""

    def __init__(self, store: Store, backlog: Backlog, options: Options) -> None:
        self._store = store
        self._backlog = backlog
        self._options = options
        self.incoming: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.closing = threading.Event()
        self.waiting = Waiting()
        self._commits = Commits(store, backlog, self.waiting, options)
        self.gate = self._commits.gate
        self._upkeep = Upkeep(store, backlog, self._commits)
        self._check_at = time.monotonic() + FILE_CHECK_INTERVAL
        self._has_more = False
        """Whether the last turn left work that need not wait."""
        self._is_full = False
        """Whether the log says that the outbox is full."""
        self._together = 0
        """Number of items in the last turn."""
        self._stopping: set[str] = set()
        """Sensors whose entries are refused instead of waiting."""
        self._has_stopping = False
        """Whether entries of these sensors may be waiting."""
        self._committed: list[threading.Event] = []
        """Events to set once everything submitted before them is on disk."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    @property
    def problem(self) -> str:
        """Why nothing can be written, or why entries are refused; empty while all is well."""
        return self._commits.problem

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            running = self._receive()
            try:
                self._turn()
            except Exception as exception:
                # All sensors wait for this thread: it must not die.
                LOG.exception("the outbox's writer failed, and continues")
                self._commits.failed(exception)
            if self._has_stopping:
                # These entries could not be committed at once.
                self._has_stopping = False
                self.waiting.refuse(self._why_stopping, self._stopping)
            if self.closing.is_set():
                self.waiting.refuse(lambda _: OutboxError(f"{self._why()}, and the container is stopping"))
            if not self._commits.is_failing or self.closing.is_set():
                while self._committed:
                    self._committed.pop().set()
        self._finish()

    def _finish(self) -> None:
        """Delete the rows that the broker has, so that they are not sent again after a restart."""
        attempts = 2
        while attempts and (left := self._backlog.to_delete):
            self._turn()
            attempts -= self._backlog.to_delete == left
        with suppress(sqlite3.Error, OSError, OutboxError):
            self._store.prune()

    def _turn(self) -> None:
        commits, now = self._commits, time.monotonic()
        self._has_more = False
        if now >= self._check_at:
            self._upkeep.check()
            self._check_at = time.monotonic() + FILE_CHECK_INTERVAL
        if not commits.is_failing or ((now >= commits.retry_at or self.closing.is_set()) and commits.is_mended()):
            batch = self._admitted()
            commits.commit(batch)
            self._has_more = self._has_more or commits.has_more

    # Incoming items.

    def _receive(self) -> bool:
        """Sort the items that arrive next. Return whether more may come.

        Items may be large: only those that wait for a commit are kept.
        """
        items = self._next_items()
        self._sort(items)
        return Signal.CLOSE not in items

    def _next_items(self) -> list[Item]:
        """Wait for entries, for space, or until something is due, and return all items in the queue."""
        due = self._due()
        items: list[Item] = []
        try:
            while not items:
                item = self.incoming.get(timeout=max(0.0, due - time.monotonic()))
                if item is not Signal.SETTLED:
                    items.append(item)
                elif self._commits.is_failing:
                    continue
                elif self.waiting.held or self._backlog.to_delete >= DELETED_TOGETHER:
                    break
                else:
                    due = min(due, time.monotonic() + LAZY_DELETE)
            if 1 < self._together < CROWD:
                # Several threads are dispatching at once: entries that are about to arrive may share this commit.
                time.sleep(BATCH_DELAY)
            while len(items) < BATCH:
                item = self.incoming.get_nowait()
                if item is not Signal.SETTLED:
                    items.append(item)
        except queue.Empty:
            pass
        self._together = len(items)
        return items

    def _due(self) -> float:
        """Return the time of the next turn if nothing arrives, on the monotonic clock."""
        now = time.monotonic()
        if self._commits.is_failing:
            return min(self._commits.retry_at, self._check_at)
        if self._has_more:
            return now
        release = now + max(0.0, self.gate.next_release() - time.time())
        return min(release, self._check_at, *([now + LAZY_DELETE] if self._backlog.to_delete else []))

    def _sort(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Submitted):
                self._add(item)
            elif isinstance(item, threading.Event):
                self._committed.append(item)
            elif isinstance(item, Stop) and item.over:
                # Entries of the sensor's earlier process are refused here.
                self.waiting.refuse(self._why_stopping, {item.sensor})
                self._stopping.discard(item.sensor)
            elif isinstance(item, Stop):
                self._stopping.add(item.sensor)
                self._has_stopping = True
            elif isinstance(item, Expect):
                (self.waiting.arrived if item.over else self.waiting.expect)(item.sensor)
            elif isinstance(item, Restrict):
                self.waiting.restrict(item.lanes)
            elif isinstance(item, Limit):
                self.gate.learn(item.limits)
            elif isinstance(item, Free):
                item.done(self.gate.free(item.sensor, item.trigger_type))

    def _add(self, item: Submitted) -> None:
        for entry in item.entries:
            flaw = flaw_of(entry)
            if not flaw and entry.reason is not None and not item.is_left:
                flaw = "it cannot be delivered, and " + TOO_LARGE if self._store.graveyard.is_too_large(entry) else ""
            if flaw:
                tell(item.done, OutboxError(f"the outbox does not accept this trigger: {flaw}"))
                return
        item.sizes = [size_of(entry) for entry in item.entries]
        self.waiting.add(item)
        self._has_stopping = self._has_stopping or item.sensor in self._stopping

    def _why(self) -> str:
        return self.problem or f"the outbox {self._store.path} is full"

    def _why_stopping(self, sensor: str) -> OutboxError:
        return OutboxError(f"{self._why()}, and {sensor} is stopping: this trigger will not be sent")

    def _admitted(self) -> list[Submitted]:
        """Take the waiting entries that fit."""
        room = room_of(self._backlog, self._options, self._store.largest_commit)
        batch = self.waiting.take(room)
        self._has_more = self.waiting.has_more
        if self.waiting.is_full and not self._is_full:
            self._is_full = True
            of = f" of {room.size} bytes"
            LOG.warning(
                "the outbox %s is full with %d triggers%s: dispatch() waits in %s "
                "until the broker accepts some of them",
                *(self._store.path, room.depth + len(batch), "" if room.depth + len(batch) >= room.max_depth else of),
                ", ".join(self.waiting.sensors()),
            )
        elif self._is_full and not self.waiting.held and _has_room_again(room):
            self._is_full = False
            LOG.info("the outbox %s has room again", self._store.path)
        return batch


def _has_room_again(room: Room) -> bool:
    return room.depth < ROOM_AGAIN * room.max_depth and room.size < ROOM_AGAIN * room.max_size
