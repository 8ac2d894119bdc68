"""What sensors have dispatched since the container started, and how the broker takes it. In the container."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from st2sensor.outbox.entry import Entry
from st2sensor.reports import Notice

SLOT, SLOTS = 10.0, 60
"""Seconds that are counted together, and how many such counts are kept."""

MINUTE = 60.0

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, for counting how long the broker takes."""


@dataclass(slots=True, kw_only=True)
class Flow:
    """What one sensor has dispatched.

    :ivar dispatched: trigger instances that went into the outbox.
    :ivar invalid: those that became dead letters at once; `last_invalid` says why the newest did.
    :ivar last_trigger: reference of the newest one; None before the first.
    :ivar last_at: when that was, in seconds since the epoch.
    """

    dispatched: int = 0
    invalid: int = 0
    last_invalid: Notice | None = None
    last_trigger: str | None = None
    last_at: float = 0.0
    _counts: deque[int] = field(default_factory=lambda: deque(maxlen=SLOTS))
    _slot: int = 0
    """Number of the slot that is counted now, on the monotonic clock."""

    def count(self, entry: Entry, now: float) -> None:
        if entry.reason is None:
            self._turn(now)
            self._counts[-1] += 1
            self.dispatched += 1
            self.last_trigger, self.last_at = entry.trigger_type, entry.created
        else:
            self.invalid += 1
            self.last_invalid = Notice(at=entry.created, text=f"{entry.trigger}: {entry.reason}")

    def recent(self, now: float) -> list[int]:
        """Counts by SLOT, oldest first, the last one of the slot that has begun."""
        self._turn(now)
        return [0] * (SLOTS - len(self._counts)) + list(self._counts)

    def _turn(self, now: float) -> None:
        slot = int(now // SLOT)
        self._counts.extend([0] * (min(slot - self._slot, SLOTS) if self._counts else 1))
        self._slot = slot


class Traffic:
    """For the loop's thread, but for what the publisher's thread tells: `refused` and `published`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: Callable[[Entry], None] = lambda _: None
        self._flows: dict[str, Flow] = {}
        self._refused: Counter[str] = Counter()
        self.latencies = [0] * (len(LATENCIES) + 1)
        """Rounds of messages by LATENCIES; the last number is of those that took longer."""
        self.latency_sum = 0.0
        """Seconds of all rounds together."""

    def dispatched(self, entry: Entry) -> None:
        """A sensor dispatches."""
        flow = self._flows.get(entry.sensor)
        if flow is None:
            flow = self._flows[entry.sensor] = Flow()
        flow.count(entry, self._clock())
        self._told(entry)

    def watch(self, told: Callable[[Entry], None]) -> None:
        """Have each dispatch told from now on."""
        self._told = told

    def refused(self, entry: Entry) -> None:
        """The broker will never take it, or it cannot be encoded: it has become a dead letter."""
        self._refused[entry.sensor] += 1

    def published(self, seconds: float) -> None:
        """A round of messages was confirmed in so many seconds."""
        self.latencies[bisect_left(LATENCIES, seconds)] += 1
        self.latency_sum += seconds

    def of(self, sensor: str) -> Flow:
        """What a sensor has dispatched."""
        return self._flows.get(sensor) or Flow()

    def dead(self, sensor: str) -> int:
        """How many of a sensor's trigger instances have become dead letters."""
        return self.of(sensor).invalid + self._refused[sensor]

    def recent(self, sensor: str) -> list[int]:
        return self.of(sensor).recent(self._clock())


def per_minute(recent: Sequence[int]) -> int:
    """Trigger instances of the last minute, or a slot less."""
    return sum(recent[-int(MINUTE / SLOT) :])
