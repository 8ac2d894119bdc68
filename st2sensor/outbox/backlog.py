"""What waits for the broker, as the writer and the delivery thread both see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from st2sensor.outbox.tail import Row, Tail


class Settled(NamedTuple):
    """Rows that are done with: to be deleted.

    :param reason: why it is a dead letter; None for what the broker has.
    """

    id: int
    reason: str | None = None


class Backlog:
    """:param cursor: where delivery starts: the id before the first row that waits.
    :param last_id: the last one ever given; only the writer changes it.
    """

    def __init__(self, *, cursor: int, last_id: int, depth: int, size: int) -> None:
        self.cursor = cursor
        self.last_id = last_id
        self.depth = depth
        self.size = size
        """Bytes of what waits."""
        self.held, self.held_size = 0, 0
        """Rows that are held back, and their bytes."""
        self.changed = threading.Condition()
        self._tail = Tail()
        self._given: dict[int, int] = {}
        """Sizes of the rows that the last `read` gave, by id, until they are settled or held back."""
        self._gone: set[int] = set()
        """Those that are, and that `read` may come across again."""
        self._settled: list[Settled] = []

    def accept(self, rows: Sequence[Row]) -> None:
        """They are on disk: from here on they are delivered."""
        if not rows:
            return
        with self.changed:
            self.last_id = rows[-1].id
            self.depth += len(rows)
            self.size += sum(row.size for row in rows)
            self._tail.extend(rows)
            self.changed.notify_all()

    def next(self, after: int, limit: int, timeout: float) -> list[Row] | None:
        """Rows with a greater id from memory, once there are some; None when the disk has to be read."""
        with self.changed:
            self._tail.forget(after)
            if self._gone:
                self._gone = {number for number in self._gone if number > after}
            self.changed.wait_for(lambda: self.last_id > after, timeout)
            if self.last_id <= after:
                return []
            first = self._tail.first
            return self._tail.after(after, limit) if first is not None and first.id <= after + 1 else None

    def give(self, rows: Sequence[Row]) -> list[Row]:
        """Those of some rows that delivery is to deal with now."""
        with self.changed:
            given = [row for row in rows if row.id not in self._gone]
            self._given = {row.id: row.size for row in given}
        return given

    def confirm(self, through: int, count: int) -> None:
        """The broker has `count` of the rows that were given last, all up to an id."""
        with self.changed:
            ids = [number for number in self._given if number <= through]
            self.size -= sum(self._given.pop(number) for number in ids)
            self.depth -= count
            self._settled.extend(map(Settled, ids))
            self._tail.forget(through)
            self.changed.notify_all()

    def settle(self, rows: Iterable[Row], reason: str | None, *, were_held: bool) -> None:
        """The broker has some rows, or they are dead letters."""
        with self.changed:
            for row in rows:
                if self._given.pop(row.id, None) is not None:
                    self._gone.add(row.id)
                self.held -= were_held
                self.held_size -= row.size * were_held
                self.depth -= 1
                self.size -= row.size
                self._settled.append(Settled(id=row.id, reason=reason))
            self.changed.notify_all()

    def hold_back(self, rows: Iterable[Row]) -> None:
        """They stay, whatever is confirmed behind them."""
        with self.changed:
            for row in rows:
                del self._given[row.id]
                self._gone.add(row.id)
                self.held += 1
                self.held_size += row.size

    def settled(self, limit: int) -> list[Settled]:
        """The first of those that are to be deleted."""
        with self.changed:
            return self._settled[:limit]

    @property
    def to_delete(self) -> int:
        """How many rows are to be deleted."""
        return len(self._settled)

    def deleted(self, count: int) -> None:
        """The first of them are."""
        with self.changed:
            del self._settled[:count]

    def oldest_in_memory(self) -> Row | None:
        """The row that waits longest, when it is known without reading the disk."""
        with self.changed:
            return self._tail.first if len(self._tail) == self.depth else None

    def settled_ids(self) -> set[int]:
        with self.changed:
            return {settled.id for settled in self._settled}

    def wait_empty(self, until: float) -> bool:
        """Wait until nothing waits for the broker, up to a moment of the monotonic clock."""
        with self.changed:
            return self.changed.wait_for(lambda: self.depth == 0, max(0.0, until - time.monotonic()))
