"""Writes the history: a thread that commits events in batches once they have left the outbox.

A row of the outbox is deleted only after its event is here, so no crash loses one. But a history that cannot be
written never holds up the outbox: its events are dropped and counted, and a gap says so.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from st2sensor.history.event import Outcome
from st2sensor.history.store import Store
from st2sensor.outbox.database.failures import is_full, is_of_file
from st2sensor.outbox.entry import size_of
from st2sensor.settings import History as Options

LOG = logging.getLogger("st2sensor.history")

WAITING_LIMIT = 32_000_000
"""Maximum number of bytes of events that wait for a commit. Beyond it, `record` waits: the outbox keeps them safe."""

RECORD_TIMEOUT = 5.0
"""Maximum number of seconds that `record` waits. Then events are dropped."""

COMMIT_INTERVAL = 0.1
"""Seconds between two commits while events come all the time: a commit of few events costs nearly as much as one of
many. The first event after a pause is committed at once."""

COLLECTED = 2_000_000
"""Number of bytes of events that are committed before COMMIT_INTERVAL is over."""

UPKEEP_INTERVAL = 1.0
"""Seconds between two checks of the limits and of the disk."""

STOP_TIMEOUT = 5.0
"""Seconds that `close` waits for the last commit."""


class Record(Protocol):
    """Takes events that leave the outbox."""

    def record(self, outcomes: Sequence[Outcome], done: Callable[[], None]) -> None:
        """Record events. From any thread.

        :param done: called once they are on disk, or never will be.
        """

    def offer(self, outcomes: Sequence[Outcome]) -> None:
        """Record events without waiting: they are dropped, and a gap counts them, if too many wait. From any thread."""

    def keep_private(self, sensors: frozenset[str]) -> None:
        """Keep no payloads of these sensors from now on. From any thread."""

    def tell(self, committed: Callable[[], None]) -> None:
        """Have a function called after each commit of events, from the history's thread. It must not wait or raise."""

    @property
    def problem(self) -> str:
        """Why the history cannot be written; empty while it can."""

    def close(self) -> None:
        """Record all submitted events, and end."""


class NoHistory:
    """Stands for a history that is switched off."""

    def record(self, outcomes: Sequence[Outcome], done: Callable[[], None]) -> None:  # noqa: ARG002 (as in Record)
        done()

    def offer(self, outcomes: Sequence[Outcome]) -> None:
        """Drop them."""

    def keep_private(self, sensors: frozenset[str]) -> None:
        """Keep none anyway."""

    def tell(self, committed: Callable[[], None]) -> None:
        """There are no commits."""

    @property
    def problem(self) -> str:
        return ""

    def close(self) -> None:
        """Do nothing: there is no thread."""


@dataclass(frozen=True, slots=True)
class _Batch:
    outcomes: Sequence[Outcome]
    done: Callable[[], None]
    size: int


class HistoryWriter:
    """Owns the file and the thread.

    :param path: the file, which is created when missing.
    :param durability: as in `[outbox]`.
    :param node: name of this container's node.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        options: Options,
        *,
        durability: str = "full",
        node: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Store(path, options, durability, node, clock)
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        """Bytes of the events that wait for a commit."""
        self._missing, self._missing_reason = 0, ""
        """Number of events that were dropped and that no gap counts yet, and the reason."""
        self._private: frozenset[str] | None = None
        """Sensors whose payloads are not kept; None until they are known."""
        self._private_changed = False
        self._problem = ""
        self._upkeep_at = self._commit_at = 0.0
        self._told: list[Callable[[], None]] = []
        # Readers find a file even before the first event.
        with suppress(sqlite3.Error, OSError):
            self._store.commit([], 0, "", None)
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def record(self, outcomes: Sequence[Outcome], done: Callable[[], None]) -> None:
        self._submit(outcomes, done, RECORD_TIMEOUT)

    def offer(self, outcomes: Sequence[Outcome]) -> None:
        self._submit(outcomes, _ignore, 0.0)

    def _submit(self, outcomes: Sequence[Outcome], done: Callable[[], None], timeout: float) -> None:
        size = sum(size_of(outcome.entry) for outcome in outcomes)
        with self._room:
            if self._room.wait_for(self._has_room, timeout):
                self._waiting += size
                self._batches.put(_Batch(outcomes, done, size))
                return
            self._missing += len(outcomes)
            self._missing_reason = "the history was written too slowly"
        done()

    def keep_private(self, sensors: frozenset[str]) -> None:
        with self._room:
            # The file remembers them: events that a crash has left behind are recorded before the sensors are known.
            self._private_changed = self._private_changed or sensors != self._private
            self._private = sensors

    def tell(self, committed: Callable[[], None]) -> None:
        self._told.append(committed)

    @property
    def problem(self) -> str:
        return self._problem

    def close(self) -> None:
        self._batches.put(None)
        self._thread.join(STOP_TIMEOUT)

    def _has_room(self) -> bool:
        return self._waiting < WAITING_LIMIT

    def _run(self) -> None:
        # The events of a turn may be large: none is kept in memory while the next turn waits.
        while self._turn():
            pass
        self._store.close()

    def _turn(self) -> bool:
        """Record the batches that wait. Return whether more may come."""
        batches = self._next()
        taken = [batch for batch in batches if batch is not None]
        try:
            self._write([outcome for batch in taken for outcome in batch.outcomes])
        except Exception as exception:
            LOG.exception("the history failed, and continues")
            with self._room:
                self._missing += sum(len(batch.outcomes) for batch in taken)
                self._missing_reason = f"an internal error: {type(exception).__name__}"
        with self._room:
            self._waiting -= sum(batch.size for batch in taken)
            self._room.notify_all()
        for batch in taken:
            batch.done()
        return None not in batches

    def _next(self) -> list[_Batch | None]:
        """Return the batches that wait, after at most UPKEEP_INTERVAL. Collect until the next commit is due."""
        found: list[_Batch | None] = []
        with suppress(queue.Empty):
            found.append(self._batches.get(timeout=UPKEEP_INTERVAL))
            while found[-1] is not None and self._waiting < min(COLLECTED, WAITING_LIMIT):
                found.append(self._batches.get(timeout=max(0.0, self._commit_at - time.monotonic())))
            while True:
                found.append(self._batches.get_nowait())
        return found

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        try:
            try:
                self._commit(outcomes)
            except (sqlite3.Error, OSError) as exception:
                if not is_full(exception) or not self._store.give_way():
                    raise
                self._commit(outcomes)
        except (sqlite3.Error, OSError) as exception:
            self._failed(exception, len(outcomes))
        else:
            if self._problem:
                LOG.warning("the history %s can be written again", self._store.path)
            self._problem = ""
        self._keep_limits()

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        with self._room:
            missing, reason = self._missing, self._missing_reason
            private, private_changed = self._private, self._private_changed
        if not outcomes and not missing and not private_changed:
            return
        self._commit_at = time.monotonic() + COMMIT_INTERVAL
        self._store.commit(outcomes, missing, reason, private)
        for committed in self._told:
            committed()
        with self._room:
            self._missing -= missing
            self._private_changed = private != self._private

    def _failed(self, exception: sqlite3.Error | OSError, dropped: int) -> None:
        path = self._store.path
        if not self._problem:
            LOG.error("cannot write the history %s: %s; events are delivered all the same", path, exception)
        self._problem = f"cannot write the history {path}: {exception}"
        with self._room:
            self._missing += dropped
            self._missing_reason = str(exception)
        if is_of_file(exception):
            with suppress(OSError):
                self._store.set_aside()

    def _keep_limits(self) -> None:
        now = time.monotonic()
        if now < self._upkeep_at:
            return
        self._upkeep_at = now + UPKEEP_INTERVAL
        try:
            self._store.keep_limits()
        except (sqlite3.Error, OSError) as exception:
            LOG.debug("the history %s cannot be kept within its limits: %s", self._store.path, exception)


def _ignore() -> None:
    """Do nothing: nobody waits for the result."""
