"""The thread that writes the outbox: it commits what has come in since the last commit together, and tells each
submitter. What fails because of the disk is tried again; what is wrong is refused alone.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from st2sensor.errors import LeaseLost, OutboxError
from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.database.failures import heals, is_full, is_of_file
from st2sensor.outbox.database.store import Store
from st2sensor.outbox.entry import flaw_of, size_of
from st2sensor.outbox.incoming import Expect, Item, Restrict, Signal, Stop, Submitted
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import BATCH, Room, Waiting, room_of, tell, tell_all
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

ROOM_AGAIN = 0.9
"""Share of its size below which an outbox that was full counts as having room again."""

BATCH_DELAY = 0.0003
"""Seconds that a commit waits for more entries, when the last one had some, but not a CROWD."""

CROWD = 32
"""Entries that make a commit worth its while without waiting."""

LAZY_DELETE = 0.2
"""Seconds that settled rows may wait for a commit to ride in."""

DELETED_TOGETHER = 200
"""Settled rows that are not kept waiting."""

DELETED_AT_ONCE = 2000
"""Settled rows that are deleted in one commit, at most."""

DELETED_ALONE = 20
"""And where there is not even room for deleting so many."""

DISK_RETRY = 1.0
"""Seconds before a failed commit is tried again."""

FILE_CHECK_INTERVAL = 1.0
"""Seconds between two looks at the file."""

SHRINKING = 0.05
"""Seconds that giving room back takes of each look, while there are entries to commit."""


class Writer:
    """The only one that changes what is on disk."""

    def __init__(self, store: Store, backlog: Backlog, options: Options) -> None:
        self._store = store
        self._backlog = backlog
        self._options = options
        self.incoming: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.closing = threading.Event()
        self.waiting = Waiting()
        self.problem = ""
        """Why nothing can be written, or why what is written is refused; empty while all is well."""
        self._is_failing = False
        """Whether commits wait for the disk, and `_is_full`: for room on it."""
        self._is_full = False
        self._is_away = False
        """Whether the file is gone, and is not back yet."""
        self._retry_at = 0.0
        """When they are tried again, on the monotonic clock."""
        self._look_at = time.monotonic() + FILE_CHECK_INTERVAL
        self._has_more = False
        """Whether there is more to do than the last turn has done."""
        self._full = False
        self._together = 0
        """How many items the last turn took."""
        self._stopping: set[str] = set()
        """Sensors that must not be kept waiting."""
        self._has_stopping = False
        """Whether something of theirs may wait."""
        self._committed: list[threading.Event] = []
        """To be set once the disk has what was submitted before."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            items = self._next_items()
            running = Signal.CLOSE not in items
            self._sort(items)
            try:
                self._turn()
            except Exception as exception:
                # The one thread that all sensors wait for must not die.
                LOG.exception("the outbox's writer failed, and goes on")
                self._failed(exception)
            if self._has_stopping:
                # It could not be committed at once.
                self._has_stopping = False
                self.waiting.refuse(self._why_stopping, self._stopping)
            if self.closing.is_set():
                self.waiting.refuse(lambda _: OutboxError(f"{self._why()}, and the container stops"))
            if not self._is_failing or self.closing.is_set():
                while self._committed:
                    self._committed.pop().set()
        self._finish()

    def _finish(self) -> None:
        """What the broker has is deleted before the end, so that it is not sent again."""
        attempts = 2
        while attempts and (left := self._backlog.to_delete):
            self._turn()
            attempts -= self._backlog.to_delete == left
        with suppress(sqlite3.Error, OSError, OutboxError):
            self._store.prune()

    def _turn(self) -> None:
        now = time.monotonic()
        self._has_more = False
        if now >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + FILE_CHECK_INTERVAL
        if not self._is_failing or ((now >= self._retry_at or self.closing.is_set()) and self._is_mended()):
            self._commit(self._admitted())

    # What comes in.

    def _next_items(self) -> list[Item]:
        """Wait for entries, for room, or for what falls due, and take all there are."""
        due = self._due()
        items: list[Item] = []
        try:
            while not items:
                item = self.incoming.get(timeout=max(0.0, due - time.monotonic()))
                if item is not Signal.SETTLED:
                    items.append(item)
                elif self._is_failing:
                    continue
                elif self.waiting.held or self._backlog.to_delete >= DELETED_TOGETHER:
                    break
                else:
                    due = min(due, time.monotonic() + LAZY_DELETE)
            if 1 < self._together < CROWD:
                # Several dispatch at once: those that are about to may share this commit.
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
        """When there is something to do though nothing comes in, on the monotonic clock."""
        now = time.monotonic()
        if self._is_failing:
            return min(self._retry_at, self._look_at)
        if self._has_more:
            return now
        return min(self._look_at, now + LAZY_DELETE) if self._backlog.to_delete else self._look_at

    def _sort(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Submitted):
                self._add(item)
            elif isinstance(item, threading.Event):
                self._committed.append(item)
            elif isinstance(item, Stop) and item.over:
                # What an earlier process of it has submitted ends here.
                self.waiting.refuse(self._why_stopping, {item.sensor})
                self._stopping.discard(item.sensor)
            elif isinstance(item, Stop):
                self._stopping.add(item.sensor)
                self._has_stopping = True
            elif isinstance(item, Expect):
                (self.waiting.arrived if item.over else self.waiting.expect)(item.sensor)
            elif isinstance(item, Restrict):
                self.waiting.restrict(item.lanes)

    def _add(self, item: Submitted) -> None:
        flaw = flaw_of(item.entry)
        if not flaw and item.entry.reason is not None and not item.is_left:
            flaw = "it cannot be delivered, and " + TOO_LARGE if self._store.graveyard.is_too_large(item.entry) else ""
        if flaw:
            tell(item.done, OutboxError(f"the outbox does not take this trigger: {flaw}"))
            return
        self.waiting.add(item)
        self._has_stopping = self._has_stopping or item.entry.sensor in self._stopping

    def _why(self) -> str:
        return self.problem or f"the outbox {self._store.path} is full"

    def _why_stopping(self, sensor: str) -> OutboxError:
        return OutboxError(f"{self._why()}, and {sensor} stops: this trigger is not sent")

    def _admitted(self) -> list[Submitted]:
        """Take from what waits what there is room for."""
        room = room_of(self._backlog, self._options, self._store.largest_commit)
        batch = self.waiting.take(room)
        self._has_more = self.waiting.has_more
        if self.waiting.is_full and not self._full:
            self._full = True
            of = f" of {room.size} bytes"
            LOG.warning(
                "the outbox %s is full with %d triggers%s: dispatch() waits in %s until the broker takes some",
                *(self._store.path, room.depth + len(batch), "" if room.depth + len(batch) >= room.max_depth else of),
                ", ".join(self.waiting.sensors()),
            )
        elif self._full and not self.waiting.held and self._has_room_again(room):
            self._full = False
            LOG.info("the outbox %s has room again", self._store.path)
        return batch

    def _has_room_again(self, room: Room) -> bool:
        return room.depth < ROOM_AGAIN * room.max_depth and room.size < ROOM_AGAIN * room.max_size

    # Commits.

    def _commit(self, batch: list[Submitted]) -> None:
        """Commit, or put everything back to where it waits when the disk does not take it."""
        batch = _still_wanted(batch)
        if not batch and not self._backlog.to_delete:
            return
        try:
            self._write(batch)
        except Exception as exception:  # noqa: BLE001 (it is told to who submitted, or tried again)
            self._settle_failure(exception, batch)

    def _write(self, batch: list[Submitted]) -> None:
        settled = self._backlog.settled(DELETED_AT_ONCE)
        rows, last_id = self._rows(batch), self._backlog.last_id
        dead = [item for item in batch if item.entry.reason is not None]
        self._store.commit(rows, [item.entry for item in dead], settled, last_id)
        self._backlog.deleted(len(settled))
        tell_all(dead, None)
        self._accept([item for item in batch if item.entry.reason is None], rows)
        self._has_more = self._has_more or self._backlog.to_delete >= DELETED_AT_ONCE
        if self.problem:
            LOG.info("the outbox %s can be written again", self._store.path)
            self.problem = ""

    def _accept(self, items: list[Submitted], rows: list[Row]) -> None:
        """They are on disk. A process may be paused at any time: what was committed too late is taken back before
        anybody sees it."""
        while len(wanted := _still_wanted(items)) < len(items):
            items, rows = wanted, self._rows(wanted)
            try:
                self._store.commit(rows, [], [], self._backlog.last_id)
            except Exception as exception:  # noqa: BLE001 (as above)
                self._settle_failure(exception, items)
                return
        self._backlog.accept(rows)
        tell_all(items, None)

    def _rows(self, batch: Sequence[Submitted]) -> list[Row]:
        accepted = (item.entry for item in batch if item.entry.reason is None)
        return [
            Row(id=number, entry=entry, size=size_of(entry))
            for number, entry in enumerate(accepted, start=self._backlog.last_id + 1)
        ]

    def _settle_failure(self, exception: Exception, batch: list[Submitted]) -> None:
        """A batch was not committed."""
        if heals(exception):
            self.waiting.put_back(batch)
            self._failed(exception)
            return
        try:
            flawed = (
                {} if is_of_file(exception) else self._store.flawed([i.entry for i in batch], self._backlog.last_id)
            )
        except Exception as another:  # noqa: BLE001 (the disk fails now)
            self.waiting.put_back(batch)
            self._failed(another)
            return
        if not flawed or any(map(is_of_file, flawed.values())):
            # It is not one entry's: nothing can be taken now, and waiting does not help.
            flawed = dict.fromkeys(range(len(batch)), exception)
            if not self.problem:
                LOG.error("the outbox %s takes nothing: %s; dispatch() raises", self._store.path, exception)
            self.problem = f"the outbox {self._store.path} takes nothing: {exception}"
        for number, error in flawed.items():
            said = f"{type(error).__name__}: {error}"
            tell(batch[number].done, OutboxError(f"the outbox does not take this trigger: {said}"))
        self.waiting.put_back([item for number, item in enumerate(batch) if number not in flawed])
        self._has_more = True

    def _failed(self, exception: Exception) -> None:
        """The disk does not take what is written: it is tried again."""
        problem = f"cannot write the outbox {self._store.path}: {exception}"
        if not self.problem:
            LOG.error("%s; dispatch() waits until it can be written", problem)
        self.problem = problem
        self._is_failing = True
        self._is_full = is_full(exception)
        self._retry_at = time.monotonic() + DISK_RETRY

    def _is_mended(self) -> bool:
        """Before commits are tried again: delete on a full disk what the broker has."""
        limit = DELETED_AT_ONCE
        while self._is_full and (settled := self._backlog.settled(limit)):
            try:
                self._store.make_room(settled)
            except (sqlite3.Error, OSError, OutboxError) as exception:
                if limit == DELETED_ALONE:
                    self._failed(exception)
                    return False
                limit = DELETED_ALONE
            else:
                self._backlog.deleted(len(settled))
        if self._is_full and not self._store.is_reserved:
            self._store.give_back()
        self._is_failing = False
        return True

    # The file.

    def _look(self) -> None:
        """Whether the file is in place; and what is due now and then."""
        if not self._store.is_in_place:
            self._restore()
        if self._is_failing:
            return
        try:
            if self._store.graveyard.is_due:
                self._store.prune()
            until = time.monotonic() + SHRINKING
            while self._store.shrink():
                if time.monotonic() >= until:
                    break
        except (sqlite3.Error, OSError, OutboxError) as exception:
            LOG.debug("the outbox %s is as large as it was: %s", self._store.path, exception)

    def _restore(self) -> None:
        path = self._store.path
        if not self._is_away:
            LOG.error("%s was deleted or replaced while it is in use: it is copied back from what is still open", path)
        self._is_away = True
        try:
            aside = self._store.restore()
        except (sqlite3.Error, OSError, OutboxError) as exception:
            self._failed(OutboxError(f"it was deleted, and cannot be copied back: {exception}"))
            return
        self._is_away = False
        kept = f"; the one that was there is kept as {aside}" if aside else ""
        LOG.warning("%s is back, with all %d triggers that wait%s", path, self._backlog.depth, kept)


TOO_LARGE = "it is larger than all dead letters may be ([outbox] dead_letters_max_size)"


def _still_wanted(batch: list[Submitted]) -> list[Submitted]:
    """What may be taken; the others are told."""
    wanted = []
    for item in batch:
        if item.still is None or item.still(item.entry):
            wanted.append(item)
        else:
            tell(item.done, LeaseLost(item.entry.sensor))
    return wanted
