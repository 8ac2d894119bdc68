"""Keeps the newest rows of the outbox in memory, so that delivery reads the disk only when it is behind."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from st2sensor.outbox.entry import Entry

TAIL, TAIL_BYTES = 2000, 8_000_000
"""The maximum numbers of rows and of bytes that are kept in memory."""

WINDOW_BYTES = 4_000_000
"""The maximum size of one window, in bytes, unless it is a single row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry in the outbox.

    :param id: counts up in the order of delivery.
    :param size: its size in bytes.
    :param committed: when it was put on disk, in seconds since the epoch; None if an earlier version did that.
    :param held: name of the bucket that holds it back; None if it may leave.
    """

    id: int
    entry: Entry
    size: int
    committed: float | None = None
    held: str | None = None


class Tail:
    """Holds every row that may leave and has a greater id than `begins_after`.

    :ivar begins_after: the greatest id of a row that is on disk alone.
    """

    def __init__(self, begins_after: int = 0) -> None:
        self.begins_after = begins_after
        self._rows: deque[Row] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def first(self) -> Row | None:
        return self._rows[0] if self._rows else None

    def extend(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._rows.append(row)
            self._bytes += row.size
        while len(self._rows) > TAIL or self._bytes > TAIL_BYTES:
            self.begins_after = self._rows[0].id
            self._forget_first()

    def forget(self, through: int) -> None:
        """Drop rows up to an id."""
        while self._rows and self._rows[0].id <= through:
            self._forget_first()

    def after(self, identifier: int, limit: int) -> list[Row]:
        """Return rows with greater ids, as many as fit into a window."""
        start = bisect_right(self._rows, identifier, key=lambda row: row.id)
        return window(islice(self._rows, start, start + limit))

    def _forget_first(self) -> None:
        self._bytes -= self._rows.popleft().size


def window(rows: Iterable[Row]) -> list[Row]:
    """Return the first rows that together do not exceed WINDOW_BYTES, and at least one row."""
    found: list[Row] = []
    size = 0
    for row in rows:
        size += row.size
        if found and size > WINDOW_BYTES:
            break
        found.append(row)
    return found
