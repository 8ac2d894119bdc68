"""Holds back messages whose routing key the broker refuses. They wait in order, and all others are sent. For the
publisher's thread.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from st2sensor.outbox.incoming import Lane
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import HELD_SHARE
from st2sensor.settings import Outbox as Options

PERMISSION_RETRY, PERMISSION_RETRY_MAX = 30.0, 300.0
"""Seconds until a refused routing key is retried, and the limit up to which this time doubles."""

COMPACT = 4096
"""Number of used ids at the front after which their memory is freed."""

NAMED = 3
"""The maximum number of routing keys that a text names."""


@dataclass(slots=True, kw_only=True)
class Key:
    """The messages that one routing key holds back.

    :ivar due: the time of the next attempt, on the monotonic clock.
    :ivar wait: seconds until the attempt after the next one.
    :ivar is_open: whether the broker accepts the key again, so that its messages are catching up.
    :ivar singly: the number of messages to publish singly, because one of them was refused.
    :ivar lanes: the number of messages by sensor and trigger type.
    :ivar size: bytes of the messages.
    """

    due: float
    wait: float
    is_open: bool = False
    singly: int = 0
    lanes: Counter[Lane] = field(default_factory=Counter)
    size: int = 0
    _ids: array[int] = field(default_factory=lambda: array("q"))
    _start: int = 0

    def __len__(self) -> int:
        return len(self._ids) - self._start

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._ids.append(row.id)
            self.lanes[row.entry.sensor, row.entry.trigger_type] += 1
            self.size += row.size

    def first(self, limit: int) -> Sequence[int]:
        """Return the ids of the next messages."""
        return self._ids[self._start : self._start + limit]

    def left(self, rows: Sequence[Row]) -> None:
        """Forget settled rows, which `first` has returned."""
        gone = {row.id for row in rows}
        kept: list[int] = []
        after = self._start
        while gone:
            number = self._ids[after]
            if number in gone:
                gone.remove(number)
            else:
                kept.append(number)
            after += 1
        self._start = after - len(kept)
        self._ids[self._start : after] = array("q", kept)
        for row in rows:
            self.lanes[row.entry.sensor, row.entry.trigger_type] -= 1
            self.size -= row.size
        if self._start >= COMPACT:
            del self._ids[: self._start]
            self._start = 0

    def skip(self, count: int) -> None:
        """Drop the first ids: their rows no longer exist."""
        self._start += count


def waiting(number: int) -> str:
    """Return how many triggers wait."""
    return "1 trigger waits" if number == 1 else f"{number} triggers wait"


class HeldBack:
    """The messages held back, by routing key.

    :param limits: limits of the outbox. The messages held back may fill a share of it.
    """

    def __init__(self, limits: Options, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._keys: dict[str, Key] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Hold back rows behind those that the key already holds back."""
        self._keys[key].add(rows)

    def refused(self, key: str) -> bool:
        """Note that the broker refuses a routing key. Return whether this is the first refusal."""
        now = self._clock()
        held = self._keys.get(key)
        if held is None:
            self._keys[key] = Key(due=now + PERMISSION_RETRY, wait=PERMISSION_RETRY)
            return True
        held.is_open = False
        held.due, held.wait = now + held.wait, min(2 * held.wait, PERMISSION_RETRY_MAX)
        return False

    def next(self) -> tuple[str, Key] | None:
        """Return a key that is due for another attempt, or that is catching up; None if there is none."""
        now = self._clock()
        for key, held in self._keys.items():
            if held.is_open or held.due <= now:
                # Keys take turns.
                self._keys[key] = self._keys.pop(key)
                return key, held
        return None

    def forget(self, key: str) -> None:
        """Forget a key that no longer holds anything back."""
        del self._keys[key]

    @property
    def is_catching_up(self) -> bool:
        """Whether messages are still waiting although the broker accepts their key again."""
        return any(held.is_open for held in self._keys.values())

    def too_many(self) -> frozenset[Lane]:
        """Return the sensors and trigger types that must wait because too much is held back."""
        size = sum(held.size for held in self._keys.values())
        if len(self) < HELD_SHARE * self._limits.max_size and size < HELD_SHARE * self._limits.max_bytes:
            return frozenset()
        return frozenset(lane for held in self._keys.values() for lane, count in held.lanes.items() if count > 0)

    def told(self) -> str:
        """Describe the messages held back. Empty if there are none."""
        keys = sorted(key for key, held in self._keys.items() if not held.is_open)
        if not keys:
            return ""
        named = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
        one = len(keys) == 1
        return (
            f"the broker refuses the routing {'key' if one else 'keys'} {named}: {waiting(len(self))} for a topic "
            "permission (rabbitmqctl set_topic_permissions), and all others are sent"
        )

    def by_sensor(self) -> Mapping[str, str]:
        """Return texts that describe the messages held back, by sensor."""
        found: dict[str, str] = {}
        for key, held in sorted(self._keys.items()):
            counts: Counter[str] = Counter()
            for (sensor, _), count in held.lanes.items():
                counts[sensor] += count
            for sensor, count in counts.items():
                if count > 0 and not held.is_open:
                    found.setdefault(sensor, f"{waiting(count)}: the broker refuses the routing key {key}")
        return found
