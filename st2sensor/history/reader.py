"""Reads the history, even while a container writes it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from st2sensor.errors import BadCursor, EventNotFound, HistoryCut
from st2sensor.history.event import Recorded, State
from st2sensor.history.file import open_existing, stored_id, unreadable
from st2sensor.history.filters import Filters
from st2sensor.history.rows import MICROSECONDS, SELECT, STATES, recorded_of

PAGE, PAGE_BYTES = 200, 4_000_000
"""Maximum numbers of events and of bytes that are read at a time; a single event may be larger."""

SCAN = 5000
"""Maximum number of events that one page examines, because a filter may accept none of them."""

MOST = (1 << 63) - 1
"""The largest integer in SQLite."""

SHORTEST_PREFIX = 4
"""Minimum number of characters of a message_id's beginning."""

MOST_TIMES = 1_000_000
"""Maximum number of events whose times are read at once: the newest ones."""

ALL = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events in the order in which they left the outbox.

    :param cursor: where the next page begins.
    :param has_more: whether the next page can be read at once.
    """

    events: Sequence[Recorded]
    cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that the history lacks, because it could not be written.

    :param after: the `seq` of the last event before the gap.
    :param at: when they were dropped, in seconds since the epoch.
    """

    after: int
    at: float
    number: int
    reason: str


class History:
    """The events of a history. For any thread. Methods raise HistoryError if the file is missing or cannot be read.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def close(self) -> None:
        with self._lock:
            self._close()

    def get(self, message_id: str) -> Recorded:
        """Return an event by its message_id, or by its beginning if that is unambiguous. Raises EventNotFound."""
        found = self.beginning(message_id)
        if not found:
            raise EventNotFound(f"no event in {self._path} has the id {message_id}")
        if len(found) > 1:
            raise EventNotFound(f"several events in {self._path} begin with {message_id}: give more of the id")
        return found[0]

    def beginning(self, text: str) -> list[Recorded]:
        """Return the event with a message_id; or else up to two events whose message_id begins with the text."""
        return self._select("message_id = ?", (stored_id(text),), limit=1) or self._beginning(text)

    def traced(self, trace_tag: str, limit: int = PAGE) -> list[Recorded]:
        """Return the newest events with a trace tag, oldest first."""
        return self._select("trace = ?", (trace_tag,), limit=limit)

    def newest(self, filters: Filters, limit: int) -> list[Recorded]:
        """Return the events that filters accept and that were dispatched last, oldest first."""
        expression, wanted = filters.query(in_order=False)
        found: list[Recorded] = []
        before: tuple[int, int] | None = None
        while len(found) < limit:
            position = "1" if before is None else "(created, seq) < (?, ?)"
            number = PAGE if filters.conditions else min(PAGE, limit - len(found))
            query = f"{SELECT} WHERE {position} AND {expression} ORDER BY created DESC, seq DESC LIMIT {number}"
            rows = self._window(query, [*(before or ()), *wanted])
            found += [event for event in rows if filters.holds(event)]
            if not rows:
                break
            before = round(rows[-1].created * MICROSECONDS), rows[-1].seq
        return found[:limit][::-1]

    def select(self, filters: Filters, after: str | None = None) -> Iterator[Recorded]:
        """Iterate over the events that filters accept, in the order in which they left the outbox.

        They are read in pages, so that the container never waits for the reader. Events that are recorded meanwhile
        are not returned.

        :param after: where to begin; None: the oldest event.

        Raises HistoryCut and BadCursor, as `page` does.
        """
        first, last = self._range(filters)
        with self._read() as connection:
            identity, oldest, newest = _bounds(connection)
        position, last = first - 1, min(last, newest)
        if after is not None:
            position = max(position, self._position(after, identity, oldest, newest))
        while rows := self._scan(filters, position, last):
            yield from (event for event in rows if filters.holds(event))
            position = rows[-1].seq

    def times(self, sensor: str | None = None, since: float | None = None) -> dict[str, list[float]]:
        """Return when each sensor dispatched its valid events, in seconds since the epoch, the newest first.

        :param sensor: reference of the only sensor to read; None for all.
        :param since: seconds since the epoch.
        """
        query = (
            "SELECT names.text, created FROM events JOIN names ON names.id = events.sensor"
            " WHERE created >= ? AND state != ? AND (? IS NULL OR names.text = ?)"
            f" ORDER BY created DESC LIMIT {MOST_TIMES}"
        )
        begin = -MOST if since is None else int(since * MICROSECONDS)
        found: dict[str, list[float]] = {}
        with self._read() as connection:
            for ref, created in connection.execute(query, (begin, STATES.index(State.DEAD), sensor, sensor)):
                found.setdefault(ref, []).append(created / MICROSECONDS)
        return found

    def page(self, cursor: str | None, filters: Filters = ALL, limit: int = PAGE) -> Page:
        """Return the events after a cursor.

        :param cursor: where to begin; None: the oldest event that is kept.

        Raises HistoryCut if events after the cursor are no longer kept, or if it belongs to another history; and
        BadCursor if it is not a cursor.
        """
        with self._read() as connection:
            identity, first, last = _bounds(connection)
        begin = first - 1 if cursor is None else self._position(cursor, identity, first, last)
        events: list[Recorded] = []
        position, size, end = begin, 0, min(last, begin + SCAN)
        while position < end and len(events) < limit and size < PAGE_BYTES:
            rows = self._scan(filters, position, end)
            if not rows:
                position = end
            for event in rows:
                position = event.seq
                if filters.holds(event):
                    events.append(event)
                    size += len(event.body or "")
                if len(events) >= limit or size >= PAGE_BYTES:
                    break
        return Page(events=events, cursor=f"{identity}.{position}", has_more=position < last)

    def cursor(self, seq: int) -> str:
        """Return the cursor after an event."""
        with self._read() as connection:
            identity, _, _ = _bounds(connection)
        return f"{identity}.{seq}"

    def end(self) -> str:
        """Return the cursor after the newest event."""
        with self._read() as connection:
            identity, _, last = _bounds(connection)
        return f"{identity}.{last}"

    def gaps(self) -> list[Gap]:
        """Return the gaps, oldest first."""
        with self._read() as connection:
            rows = connection.execute("SELECT after, at, number, reason FROM gaps ORDER BY at").fetchall()
        return [Gap(after=after, at=at / MICROSECONDS, number=number, reason=text) for after, at, number, text in rows]

    def replays(self, message_id: str) -> list[tuple[float, str]]:
        """Return when an event was replayed, in seconds since the epoch, and where to."""
        with self._read() as connection:
            query = "SELECT at, target FROM replays WHERE message_id = ? ORDER BY at"
            return [(at / MICROSECONDS, target) for at, target in connection.execute(query, (stored_id(message_id),))]

    def add_replays(self, message_ids: Sequence[str], at: float, target: str) -> None:
        """Note that events were replayed.

        :param at: seconds since the epoch.
        :param target: the queue, or the exchange and routing key.
        """
        rows = [(stored_id(message_id), int(at * MICROSECONDS), target) for message_id in message_ids]
        if not rows:
            return
        with self._read() as connection:
            # In autocommit mode each row would be a commit of its own. An error closes the connection.
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO replays VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def _beginning(self, text: str) -> list[Recorded]:
        """Return up to two events whose message_id begins with a text."""
        if len(text) < SHORTEST_PREFIX:
            return []
        try:
            low, high = bytes.fromhex(f"{text:0<32}"), bytes.fromhex(f"{text:f<32}")
        except ValueError:
            return []
        return self._select("message_id BETWEEN ? AND ?", (low, high), limit=2)

    def _select(self, condition: str, values: Sequence[object], limit: int) -> list[Recorded]:
        query = f"{SELECT} WHERE {condition} ORDER BY seq DESC LIMIT {limit}"
        with self._read() as connection:
            return [recorded_of(row) for row in connection.execute(query, tuple(values))][::-1]

    def _scan(self, filters: Filters, after: int, through: int) -> list[Recorded]:
        """Return the next events in order that SQLite's part of the filters accepts, as many as a page holds."""
        expression, wanted = filters.query(in_order=True)
        query = f"{SELECT} WHERE seq > ? AND seq <= ? AND {expression} ORDER BY seq LIMIT {PAGE}"
        return self._window(query, [after, through, *wanted])

    def _window(self, query: str, values: Sequence[object]) -> list[Recorded]:
        """Return the first events of a query, as many as should be in memory, and at least one."""
        found: list[Recorded] = []
        size = 0
        with self._read() as connection:
            for row in connection.execute(query, tuple(values)):
                event = recorded_of(row)
                size += len(event.body or "")
                if found and size > PAGE_BYTES:
                    break
                found.append(event)
        return found

    def _range(self, filters: Filters) -> tuple[int, int]:
        """Return the range of `seq` that holds all events of a period."""
        since = -MOST if filters.since is None else int(filters.since * MICROSECONDS)
        until = MOST if filters.until is None else int(filters.until * MICROSECONDS)
        with self._read() as connection:
            if since == -MOST and until == MOST:
                return 0, MOST
            query = "SELECT min(seq), max(seq) FROM events WHERE created >= ? AND created < ?"
            first, last = connection.execute(query, (since, until)).fetchone()
        return first or 0, last or 0

    def _position(self, cursor: str, identity: str, first: int, last: int) -> int:
        name, _, number = cursor.partition(".")
        # Python refuses to read a number of thousands of digits.
        if not (len(number) < len(str(MOST)) and number.isascii() and number.isdigit() and name):
            raise BadCursor("this is not a cursor: use one that an earlier answer gave, or none")
        position = int(number)
        if name != identity or position < first - 1 or position > last:
            oldest = f"{identity}.{first - 1}"
            raise HistoryCut(
                f"the events after this cursor are no longer kept; the oldest cursor is {oldest}", oldest=oldest
            )
        return position

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is not None and self._path.stat().st_ino != self._inode:
                    self._close()
                if self._connection is None:
                    self._connection = open_existing(self._path)
                    self._inode = self._path.stat().st_ino
                yield self._connection
            except (sqlite3.Error, OSError) as exception:
                self._close()
                raise unreadable(self._path, exception) from exception

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _bounds(connection: sqlite3.Connection) -> tuple[str, int, int]:
    """Return the history's identity, the `seq` of the oldest event that is kept, and the last one ever used."""
    (identity,) = connection.execute("SELECT text FROM identity").fetchone()
    (first,) = connection.execute("SELECT min(seq) FROM events").fetchone()
    used = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    last = int(used[0]) if used else 0
    return identity, (last + 1 if first is None else int(first)), last
