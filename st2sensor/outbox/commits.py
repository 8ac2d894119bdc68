"""Commits batches to the outbox, and handles failures.

A commit that fails because of the disk is retried. If the database refuses an entry, only that entry is refused, and
its submitter gets the error. For the writer's thread.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from st2sensor.errors import LeaseLost, OutboxError
from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.database.failures import heals, is_full, is_of_file
from st2sensor.outbox.database.store import Store
from st2sensor.outbox.gate import Gate
from st2sensor.outbox.incoming import Submitted
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import HELD_SHARE, Waiting, tell, tell_all
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

DELETED_AT_ONCE = 2000
"""Maximum number of settled rows that one commit deletes."""

DELETED_ALONE = 20
"""Maximum number of settled rows that one commit deletes if a full disk lacks the space to delete DELETED_AT_ONCE."""

DISK_RETRY = 1.0
"""Seconds before a failed commit is retried."""


class Commits:
    """Writes batches of submitted entries, and deletes settled rows in the same commits.

    :param waiting: takes back the entries that could not be committed.
    :param clock: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: Store,
        backlog: Backlog,
        waiting: Waiting,
        options: Options,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._backlog = backlog
        self._waiting = waiting
        self._clock = clock
        self._options = options
        self.gate = Gate(lambda: store.limits)
        self.problem = ""
        """Why nothing can be written, or why entries are refused; empty while all is well. Read by any thread."""
        self.is_failing = False
        """Whether commits are waiting for the disk."""
        self.retry_at = 0.0
        """The time on the clock at which a failed commit is retried."""
        self.has_more = False
        """Whether the last commit left work that need not wait."""
        self._is_full = False
        """Whether the disk is failing because it is full."""

    def commit(self, batch: list[Submitted]) -> None:
        """Commit a batch, and the deletions that are due. If the disk fails, the batch waits again, at the front."""
        self.has_more = False
        batch = _still_wanted(batch)
        try:
            if self.gate.is_due():
                self._release()
            if batch or self._backlog.to_delete:
                self._write(batch)
        except Exception as exception:  # noqa: BLE001 (reported to the submitter, or retried)
            self._settle_failure(exception, batch)

    def failed(self, exception: Exception) -> None:
        """Make commits wait for the disk, which has failed with an exception."""
        problem = f"cannot write the outbox {self._store.path}: {exception}"
        if not self.problem:
            LOG.error("%s; dispatch() waits until it can be written", problem)
        self.problem = problem
        self.is_failing = True
        self._is_full = is_full(exception)
        self.retry_at = self._clock() + DISK_RETRY

    def is_mended(self) -> bool:
        """Prepare a retry: on a full disk, delete the rows that the broker has. Return whether to retry now."""
        limit = DELETED_AT_ONCE
        while self._is_full and (settled := self._backlog.settled(limit)):
            try:
                self._store.make_room(settled)
            except (sqlite3.Error, OSError, OutboxError) as exception:
                if limit == DELETED_ALONE:
                    self.failed(exception)
                    return False
                limit = DELETED_ALONE
            else:
                self._backlog.deleted(len(settled))
        if self._is_full and not self._store.is_reserved:
            self._store.give_back()
        self.is_failing = False
        return True

    def _write(self, batch: list[Submitted]) -> None:
        settled = self._backlog.settled(DELETED_AT_ONCE)
        rows, last_id = self._rows(batch), self._backlog.last_id
        dead = [entry for item in batch for entry in item.entries if entry.reason is not None]
        self._store.commit(rows, dead, settled, last_id, self.gate.changes())
        self._backlog.deleted(len(settled))
        if dead:
            tell_all([item for item in batch if item.is_dead], None)
            batch = [item for item in batch if not item.is_dead]
        self._accept(batch, rows)
        self.has_more = self.has_more or self._backlog.to_delete >= DELETED_AT_ONCE
        if self.problem:
            LOG.info("the outbox %s can be written again", self._store.path)
            self.problem = ""

    def _accept(self, items: list[Submitted], rows: list[Row]) -> None:
        """Hand rows that are on disk to delivery.

        The process may be paused at any time. An entry whose lease ran out before its commit was complete is removed
        again before any other thread sees it. Dead letters stay, because they are not published.
        """
        while len(wanted := _still_wanted(items)) < len(items):
            self.gate.undo()
            items, rows = wanted, self._rows(wanted)
            try:
                self._store.commit(rows, [], [], self._backlog.last_id, self.gate.changes())
            except Exception as exception:  # noqa: BLE001 (reported to the submitter, or retried)
                self._settle_failure(exception, items)
                return
        self.gate.settle()
        self._backlog.accept(rows)
        self._limit()
        tell_all(items, None)

    def _rows(self, batch: Sequence[Submitted]) -> list[Row]:
        """Return the rows to store. Limits drop some entries, and hold others."""
        rows: list[Row] = []
        now = time.time()
        number = self._backlog.last_id
        for item in batch:
            for entry, size in zip(item.entries, item.sizes, strict=True):
                if entry.reason is not None:
                    continue
                is_kept, held = self.gate.judge(entry, is_left=item.is_left)
                if is_kept:
                    number += 1
                    rows.append(Row(id=number, entry=entry, size=size, held=held, committed=now))
        return rows

    def _release(self) -> None:
        """Release the held rows that may leave. They get new ids, so that they follow the rows that have left before
        them."""
        rows = self.gate.released()
        if not rows:
            return
        number = self._backlog.last_id
        free = [replace(row, id=number + place, held=None) for place, row in enumerate(rows, start=1)]
        try:
            self._store.release([(new.id, old.id) for new, old in zip(free, rows, strict=True)], self.gate.changes())
        except BaseException:
            self.gate.undo()
            raise
        self.gate.settle()
        self._backlog.release(free)
        self._limit()

    def _limit(self) -> None:
        """Make the sensors of held rows wait while these rows fill their share of the outbox."""
        backlog, options = self._backlog, self._options
        is_full = (
            backlog.limited >= HELD_SHARE * options.max_size or backlog.limited_size >= HELD_SHARE * options.max_bytes
        )
        self._waiting.limit(self.gate.lanes() if is_full else frozenset())

    def _settle_failure(self, exception: Exception, batch: list[Submitted]) -> None:
        """Retry a batch later if the disk has failed; otherwise refuse the entries that cause the failure."""
        self.gate.undo()
        if heals(exception):
            self._waiting.put_back(batch)
            self.failed(exception)
            return
        try:
            flawed = self._flawed(exception, batch)
        except Exception as another:  # noqa: BLE001 (the disk is failing now)
            self._waiting.put_back(batch)
            self.failed(another)
            return
        if not flawed or any(map(is_of_file, flawed.values())):
            # No single entry is at fault: nothing can be accepted now, and waiting does not help.
            flawed = dict.fromkeys(range(len(batch)), exception)
            if not self.problem:
                LOG.error("the outbox %s accepts nothing: %s; dispatch() raises an error", self._store.path, exception)
            self.problem = f"the outbox {self._store.path} accepts nothing: {exception}"
        for number, error in flawed.items():
            text = f"{type(error).__name__}: {error}"
            tell(batch[number].done, OutboxError(f"the outbox does not accept this trigger: {text}"))
        self._waiting.put_back([item for number, item in enumerate(batch) if number not in flawed])
        self.has_more = True

    def _flawed(self, exception: Exception, batch: list[Submitted]) -> dict[int, Exception]:
        """Return the errors of the items with an entry that the database refuses, by their index in the batch."""
        if is_of_file(exception):
            return {}
        items = [number for number, item in enumerate(batch) for _ in item.entries]
        flawed = self._store.flawed([entry for item in batch for entry in item.entries], self._backlog.last_id)
        return {items[place]: error for place, error in flawed.items()}


def _still_wanted(batch: list[Submitted]) -> list[Submitted]:
    """Return the items that may still be accepted; the submitters of the others get LeaseLost."""
    wanted = []
    for item in batch:
        if item.is_wanted():
            wanted.append(item)
        else:
            tell(item.done, LeaseLost(item.sensor))
    return wanted
