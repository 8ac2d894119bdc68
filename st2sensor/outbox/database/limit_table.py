"""The durable state of operators' limits, and the held rows, in the database of an open outbox. For the writer's
thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from st2sensor.outbox.database.rows import COLUMNS, entry_of
from st2sensor.outbox.entry import size_of
from st2sensor.outbox.incoming import Lane
from st2sensor.outbox.tail import Row, window

MOST_SEEN = 1_000_000
"""Maximum number of message_ids that are remembered: about 100 bytes each. Beyond it, the message_ids whose window ends
first are forgotten: their repeats are sent once more, with the same message_id."""

FORGOTTEN_AT_ONCE = 2000
"""Maximum number of message_ids that one upkeep forgets."""

HELD = f"SELECT id, held, {COLUMNS} FROM outbox WHERE "
RELEASE = f"INSERT INTO outbox (id, {COLUMNS}) SELECT ?, {COLUMNS} FROM outbox WHERE id = ?"
OLDEST = "DELETE FROM limit_seen WHERE message_id IN (SELECT message_id FROM limit_seen {} ORDER BY ends LIMIT ?)"


class Bucket(NamedTuple):
    """A token bucket: the number of its tokens, the time at which it had them, in seconds since the epoch, and the
    fence under which it was used.
    """

    tokens: float
    at: float
    fence: int | None


class Counts(NamedTuple):
    """Counts of one sensor and trigger type.

    :param offered: number of events from which samples were taken.
    :param duplicates: number of repeats that were dropped.
    :param sampled: number of events that were left out of the sample.
    :param held: number of rows that are held now.
    :param last: time of the last change, in seconds since the epoch.
    """

    offered: int = 0
    duplicates: int = 0
    sampled: int = 0
    held: int = 0
    last: float = 0.0


class Seen(NamedTuple):
    """The end of a window, in seconds since the epoch, and the fence under which its event was dispatched."""

    ends: float
    fence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """State to commit. `unseen` are message_ids to forget."""

    buckets: Sequence[tuple[str, Bucket]] = ()
    counts: Sequence[tuple[Lane, Counts]] = ()
    seen: Sequence[tuple[str, Seen]] = ()
    unseen: Sequence[str] = ()


NO_CHANGES = Changes()


class LimitTable:
    """The tables of one connection. Methods raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self) -> tuple[dict[str, Bucket], dict[Lane, Counts], dict[str, int]]:
        """Return the buckets by name, the counts by lane, and the number of held rows by bucket."""
        read = self._connection.execute
        buckets = {row[0]: Bucket(*row[1:]) for row in read("SELECT name, tokens, at, fence FROM limit_buckets")}
        query = "SELECT sensor, trigger_type, offered, duplicates, sampled, last FROM limit_counts"
        counts = {(row[0], row[1]): Counts(row[2], row[3], row[4], 0, row[5]) for row in read(query)}
        queued: dict[str, int] = {}
        query = "SELECT held, sensor, trigger_type, count(*) FROM outbox WHERE held IS NOT NULL GROUP BY 1, 2, 3"
        for bucket, sensor, trigger_type, number in read(query):
            queued[bucket] = queued.get(bucket, 0) + number
            lane = (sensor, trigger_type)
            counts[lane] = counts.get(lane, Counts())._replace(held=number)
        return buckets, counts, queued

    def store(self, changes: Changes, released: Sequence[tuple[int, int]]) -> None:
        """Store changes, and give released rows new ids. Needs a transaction.

        :param released: pairs of the new id and the id of the held row.
        """
        write = self._connection.executemany
        write(RELEASE, released)
        write("DELETE FROM outbox WHERE id = ?", [(old,) for _, old in released])
        write("DELETE FROM limit_seen WHERE message_id = ?", [(name,) for name in changes.unseen])
        write("INSERT OR REPLACE INTO limit_seen VALUES (?, ?, ?)", [(name, *seen) for name, seen in changes.seen])
        write(
            "INSERT OR REPLACE INTO limit_buckets VALUES (?, ?, ?, ?)",
            [(name, *item) for name, item in changes.buckets],
        )
        write(
            "INSERT OR REPLACE INTO limit_counts VALUES (?, ?, ?, ?, ?, ?)",
            [(*lane, item.offered, item.duplicates, item.sampled, item.last) for lane, item in changes.counts],
        )

    def seen(self, message_id: str) -> Seen | None:
        """Return the record of a message_id; None for a new message_id."""
        query = "SELECT ends, fence FROM limit_seen WHERE message_id = ?"
        row = self._connection.execute(query, (message_id,)).fetchone()
        return None if row is None else Seen(*row)

    def is_due(self, now: float) -> bool:
        """Return whether there is something to forget."""
        row = self._connection.execute("SELECT min(ends) FROM limit_seen").fetchone()
        return row[0] is not None and row[0] < now

    def forget(self, now: float) -> None:
        """Forget message_ids whose window is over, and message_ids beyond MOST_SEEN."""
        self._connection.execute(OLDEST.format("WHERE ends < ?"), (now, FORGOTTEN_AT_ONCE))
        (number,) = self._connection.execute("SELECT count(*) FROM limit_seen").fetchone()
        if number > MOST_SEEN:
            self._connection.execute(OLDEST.format(""), (min(number - MOST_SEEN, FORGOTTEN_AT_ONCE),))

    def of_bucket(self, bucket: str, limit: int) -> list[Row]:
        """Return the first held rows of a bucket, at most `limit`."""
        return self._rows("held = ? ORDER BY id LIMIT ?", (bucket, limit))

    def of_lanes(self, lanes: Collection[Lane], limit: int) -> list[Row]:
        """Return the first held rows of some lanes, at most `limit`."""
        where = " OR ".join(["(sensor = ? AND trigger_type = ?)"] * len(lanes))
        names = [name for lane in lanes for name in lane]
        return self._rows(f"held IS NOT NULL AND ({where}) ORDER BY id LIMIT ?", (*names, limit))

    def _rows(self, where: str, values: tuple[object, ...]) -> list[Row]:
        found = ((row[0], row[1], entry_of(row[2:])) for row in self._connection.execute(HELD + where, values))
        return window(Row(id=number, entry=entry, size=size_of(entry), held=held) for number, held, entry in found)
