"""Submitted entries that are not on disk yet. They wait for their commit, for space, for the disk, or for entries that
must go first. For the writer's thread.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.incoming import Lane, OnDone, Submitted
from st2sensor.settings import Outbox as Options

LOG = logging.getLogger("st2sensor.outbox")

HELD_SHARE = 0.5
"""The maximum share of the outbox that rows held back may fill."""

BATCH = 1000
"""The maximum number of entries in one commit, unless they are submitted together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Contents and limits of the outbox, in entries and in bytes.

    :param commit: the maximum size of one commit, in bytes, unless its entries are submitted together.
    """

    depth: int
    size: int
    max_depth: int
    max_size: int
    commit: int

    def fits(self, entries: int, size: int, *, is_first: bool) -> bool:
        """Return whether more entries fit. Entries that are submitted together always fit if nothing is waiting.

        :param is_first: whether all these entries are submitted together.
        """
        return (is_first and self.depth == 0) or (
            self.depth + entries <= self.max_depth and self.size + size <= self.max_size
        )


def room_of(backlog: Backlog, options: Options, commit: int = 0) -> Room:
    """Return the current room. Rows held back, and rows that an operator's limits hold, together count as no more than
    HELD_SHARE of the limit."""
    held, held_size = backlog.held + backlog.limited, backlog.held_size + backlog.limited_size
    return Room(
        depth=backlog.depth + backlog.limited - max(0, held - int(HELD_SHARE * options.max_size)),
        size=backlog.size + backlog.limited_size - max(0, held_size - int(HELD_SHARE * options.max_bytes)),
        max_depth=options.max_size,
        max_size=options.max_bytes,
        commit=commit,
    )


class Waiting:
    """Holds waiting entries in the order of submission."""

    def __init__(self) -> None:
        self.held: deque[Submitted] = deque()
        self.dead: deque[Submitted] = deque()
        """Dead letters, which need no space in the outbox."""
        self.is_full = False
        """Whether entries that `take` has left are waiting for space."""
        self.has_more = False
        """Whether entries that `take` has left are waiting only for the next commit."""
        self._parked: dict[str | Lane, list[Submitted]] = {}
        """Entries that wait for others to go first, by their sensor or their lane."""
        self._expected: set[str] = set()
        self._refused: frozenset[Lane] = frozenset()
        self._limited: frozenset[Lane] = frozenset()
        self._restricted: frozenset[Lane] = frozenset()

    def add(self, item: Submitted) -> None:
        if item.is_dead:
            self.dead.append(item)
        elif (self._expected or self._restricted) and (key := self._waits_for(item)) is not None:
            self._parked.setdefault(key, []).append(item)
        else:
            self.held.append(item)

    def put_back(self, batch: Sequence[Submitted]) -> None:
        """Put entries that could not be committed back at the front."""
        self.held.extendleft(item for item in reversed(batch) if not item.is_dead)
        self.dead.extendleft(item for item in reversed(batch) if item.is_dead)

    def expect(self, sensor: str) -> None:
        """Make a sensor's new entries wait for the entries that it left in another outbox."""
        self._expected.add(sensor)

    def arrived(self, sensor: str) -> None:
        """Release the entries that waited for a sensor's old entries."""
        self._expected.discard(sensor)
        for item in self._parked.pop(sensor, ()):
            self.add(item)

    def restrict(self, lanes: frozenset[Lane]) -> None:
        """Make the entries of these lanes wait from now on, and release the entries of all other lanes."""
        self._refused = lanes
        self._restrict()

    def limit(self, lanes: frozenset[Lane]) -> None:
        """Like `restrict`, for lanes of which an operator's limits hold too many rows."""
        if lanes != self._limited:
            self._limited = lanes
            self._restrict()

    def _restrict(self) -> None:
        self._restricted = lanes = self._refused | self._limited
        for lane in [key for key in self._parked if isinstance(key, tuple) and key not in lanes]:
            for item in self._parked.pop(lane):
                self.add(item)

    def take(self, room: Room) -> list[Submitted]:
        """Take the entries to commit next."""
        batch: list[Submitted] = []
        count, size = 0, 0
        self.is_full, self.has_more = False, True
        while self.dead and count < BATCH:
            item = self.dead[0]
            size += sum(item.sizes)
            if batch and (size > room.commit or count + len(item.entries) > BATCH):
                return batch
            count += len(item.entries)
            batch.append(self.dead.popleft())
        entries, added = 0, 0
        has_order = bool(self._expected or self._restricted)
        while self.held and count < BATCH:
            item = self.held[0]
            if has_order and (key := self._waits_for(item)) is not None:
                self._parked.setdefault(key, []).append(self.held.popleft())
                continue
            more, needed = len(item.entries), sum(item.sizes)
            if not room.fits(entries + more, added + needed, is_first=not entries):
                self.is_full = True
                break
            if batch and (size + needed > room.commit or count + more > BATCH):
                return batch
            entries, added = entries + more, added + needed
            count, size = count + more, size + needed
            batch.append(self.held.popleft())
        self.has_more = count >= BATCH
        return batch

    def refuse(self, why: Callable[[str], Exception], sensors: Set[str] | None = None) -> None:
        """Refuse the waiting entries of some sensors.

        :param why: makes the error for a sensor.
        :param sensors: None for all.
        """
        for waiting in (self.dead, self.held, *self._parked.values()):
            kept = []
            for item in waiting:
                if sensors is None or item.sensor in sensors:
                    tell(item.done, why(item.sensor))
                else:
                    kept.append(item)
            waiting.clear()
            waiting.extend(kept)

    def sensors(self) -> list[str]:
        """Return the sensors that are waiting for space."""
        return sorted({item.sensor for item in self.held})

    def _waits_for(self, item: Submitted) -> str | Lane | None:
        sensor = item.sensor
        if sensor in self._expected and not item.is_left:
            return sensor
        if not self._restricted:
            return None
        lanes = ((sensor, entry.trigger_type) for entry in item.entries)
        return next((lane for lane in lanes if lane in self._restricted), None)


def tell(done: OnDone, error: Exception | None) -> None:
    """Notify a submitter. An exception that it raises is logged."""
    try:
        done(error)
    except Exception:
        LOG.exception("a dispatch() cannot be answered")


def tell_all(batch: Iterable[Submitted], error: Exception | None) -> None:
    """Notify the submitters of a batch."""
    for item in batch:
        tell(item.done, error)
