"""The rows that wait for the broker. The writer's and the publisher's threads share them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from st2sensor.outbox.tail import Row, Tail


class Settled(NamedTuple):
    """A row that must be deleted.

    :param reason: why it becomes a dead letter; None when the broker has it.
    :param is_unrouted: whether that is only because no queue has taken it.
    """

    id: int
    reason: str | None = None
    is_unrouted: bool = False


class Backlog:
    """Counts and remembers waiting rows.

    :param last_id: the last id ever used; only the writer changes it.
    :param depth: the number of waiting rows.
    :param size: the number of bytes of the waiting rows.
    :param limited: the number of rows that an operator's limits hold; `limited_size`: their bytes.
    """

    def __init__(self, *, last_id: int, depth: int, size: int, limited: int = 0, limited_size: int = 0) -> None:
        self.last_id = last_id
        self.depth = depth
        self.size = size
        """Bytes of the waiting rows."""
        self.held, self.held_size = 0, 0
        """Number and bytes of the rows that are held back."""
        self.limited, self.limited_size = limited, limited_size
        self.changed = threading.Condition()
        self._last_waiting = last_id
        """The greatest id of a row that may leave, or a greater id."""
        self._tail = Tail(last_id)
        self._given: dict[int, int] = {}
        """Sizes of the rows that the last `read` returned, by id, until they are settled or held back."""
        self._gone: set[int] = set()
        """Ids of rows that are settled or held back, but that `Outbox.read` may still find."""
        self._leaving: set[int] = set()
        """Ids of rows that are settled, but that must not be deleted yet."""
        self._settled: list[Settled] = []

    def accept(self, rows: Sequence[Row]) -> None:
        """Add rows that are on disk, and make them available for delivery."""
        if not rows:
            return
        free = [row for row in rows if row.held is None]
        with self.changed:
            self.last_id = rows[-1].id
            self.depth += len(free)
            self.size += sum(row.size for row in free)
            self.limited += len(rows) - len(free)
            self.limited_size += sum(row.size for row in rows if row.held is not None)
            if free:
                self._last_waiting = free[-1].id
                self._tail.extend(free)
                self.changed.notify_all()

    def release(self, rows: Sequence[Row]) -> None:
        """Make rows available that were held until now. They have new ids."""
        self.limited -= len(rows)
        self.limited_size -= sum(row.size for row in rows)
        self.accept(rows)

    def next(self, after: int, limit: int, timeout: float) -> list[Row] | None:
        """Wait for rows with greater ids, and return them from memory; None if the disk must be read."""
        with self.changed:
            self._tail.forget(after)
            if self._gone:
                self._gone = {number for number in self._gone if number > after}
            self.changed.wait_for(lambda: self._last_waiting > after, timeout)
            if self._last_waiting <= after:
                return []
            return self._tail.after(after, limit) if after >= self._tail.begins_after else None

    def give(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that still need delivery, without rows that are settled or held back."""
        with self.changed:
            given = [row for row in rows if row.id not in self._gone]
            self._given = {row.id: row.size for row in given}
        return given

    def confirm(self, through: int, count: int) -> list[Settled]:
        """Settle the rows that `give` last returned, up to an id. The broker has confirmed `count` of them.

        Return them for `may_delete`.
        """
        with self.changed:
            ids = [number for number in self._given if number <= through]
            self.size -= sum(self._given.pop(number) for number in ids)
            self.depth -= count
            self._leaving.update(ids)
            self._tail.forget(through)
            self.changed.notify_all()
        return list(map(Settled, ids))

    def settle(
        self, rows: Iterable[Row], reason: str | None, *, were_held: bool, is_unrouted: bool = False
    ) -> list[Settled]:
        """Settle rows that the broker has, or that become dead letters. Return them for `may_delete`."""
        settled: list[Settled] = []
        with self.changed:
            for row in rows:
                if self._given.pop(row.id, None) is not None:
                    self._gone.add(row.id)
                self.held -= were_held
                self.held_size -= row.size * were_held
                self.depth -= 1
                self.size -= row.size
                self._leaving.add(row.id)
                settled.append(Settled(row.id, reason, is_unrouted))
            self.changed.notify_all()
        return settled

    def may_delete(self, settled: Sequence[Settled]) -> None:
        """Let the writer delete settled rows, or make them dead letters."""
        with self.changed:
            self._settled.extend(settled)
            self._leaving.difference_update(item.id for item in settled)

    def hold_back(self, rows: Iterable[Row]) -> None:
        """Keep rows even after later rows are confirmed."""
        with self.changed:
            for row in rows:
                del self._given[row.id]
                self._gone.add(row.id)
                self.held += 1
                self.held_size += row.size

    def settled(self, limit: int) -> list[Settled]:
        """Return the first settled rows."""
        with self.changed:
            return self._settled[:limit]

    @property
    def to_delete(self) -> int:
        """Number of settled rows, which must be deleted."""
        return len(self._settled)

    def deleted(self, count: int) -> None:
        """Forget the first settled rows, because they have been deleted."""
        with self.changed:
            del self._settled[:count]

    def oldest_in_memory(self) -> Row | None:
        """Return the row that has waited longest; None if it can only be read from disk."""
        with self.changed:
            return self._tail.first if len(self._tail) == self.depth else None

    def settled_ids(self) -> set[int]:
        with self.changed:
            return self._leaving.union(settled.id for settled in self._settled)

    def wait_empty(self, until: float) -> bool:
        """Wait until the broker has everything, or until a time on the monotonic clock.

        Return whether the broker has everything.
        """
        with self.changed:
            return self.changed.wait_for(lambda: self.depth == 0, max(0.0, until - time.monotonic()))
