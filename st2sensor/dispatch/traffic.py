"""Counts the events that sensors have dispatched since the container started, and times the broker's confirms."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from st2sensor.outbox.entry import Entry
from st2sensor.reports import Notice

SLOT, SLOTS = 10.0, 60
"""Seconds of one slot, and the number of slots that are kept."""

MINUTE = 60.0

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds, of the histogram of confirm times."""


@dataclass(slots=True, kw_only=True)
class Flow:
    """Counts of one sensor.

    :ivar dispatched: number of trigger instances that went into the outbox.
    :ivar invalid: number of trigger instances that became dead letters at once.
    :ivar last_invalid: the newest of these, and the reason.
    :ivar last_trigger: reference of the newest instance's type; None before the first.
    :ivar last_at: time of the newest instance, in seconds since the epoch.
    """

    dispatched: int = 0
    invalid: int = 0
    last_invalid: Notice | None = None
    last_trigger: str | None = None
    last_at: float = 0.0
    _counts: deque[int] = field(default_factory=lambda: deque(maxlen=SLOTS))
    _slot: int = 0
    """Number of the current slot, on the monotonic clock."""

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
        """Return the counts by slot, oldest first. The last one belongs to the current slot."""
        self._turn(now)
        return [0] * (SLOTS - len(self._counts)) + list(self._counts)

    def _turn(self, now: float) -> None:
        slot = int(now // SLOT)
        self._counts.extend([0] * (min(slot - self._slot, SLOTS) if self._counts else 1))
        self._slot = slot


class Traffic:
    """Counts of all sensors. For the loop's thread, except `refused`, `unrouted` and `published`, which are for the
    publisher's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._observer: Callable[[Entry], None] = lambda _: None
        self._flows: dict[str, Flow] = {}
        self._refused: Counter[str] = Counter()
        self._unrouted: Counter[str] = Counter()
        self.latencies = [0] * (len(LATENCIES) + 1)
        """Number of windows of messages, by LATENCIES. The last number counts windows that took longer."""
        self.latency_sum = 0.0
        """Total duration of all windows, in seconds."""

    def dispatched(self, entry: Entry) -> None:
        """Count an entry that a sensor has dispatched."""
        flow = self._flows.get(entry.sensor)
        if flow is None:
            flow = self._flows[entry.sensor] = Flow()
        flow.count(entry, self._clock())
        self._observer(entry)

    def watch(self, observer: Callable[[Entry], None]) -> None:
        """Call a function with each dispatched entry from now on."""
        self._observer = observer

    def refused(self, entry: Entry) -> None:
        """Count an entry that has become a dead letter because the broker refused it, or encoding it failed."""
        self._refused[entry.sensor] += 1

    def unrouted(self, entry: Entry) -> None:
        """Count an entry that no queue has taken."""
        self._unrouted[entry.sensor] += 1

    def published(self, seconds: float) -> None:
        """Count a window of messages.

        :param seconds: how long the broker took to confirm it.
        """
        self.latencies[bisect_left(LATENCIES, seconds)] += 1
        self.latency_sum += seconds

    def of(self, sensor: str) -> Flow:
        """Return the counts of a sensor."""
        return self._flows.get(sensor) or Flow()

    @property
    def total(self) -> int:
        """Number of all trigger instances that went into the outbox."""
        return sum(flow.dispatched for flow in self._flows.values())

    def dead(self, sensor: str) -> int:
        """Return the number of a sensor's trigger instances that have become dead letters."""
        return self.of(sensor).invalid + self._refused[sensor]

    def not_routed(self, sensor: str) -> int:
        """Return the number of a sensor's trigger instances that no queue has taken."""
        return self._unrouted[sensor]

    def recent(self, sensor: str) -> list[int]:
        return self.of(sensor).recent(self._clock())


def per_minute(recent: Sequence[int]) -> int:
    """Return the number of trigger instances in the last minute.

    The current slot may be incomplete, so up to one slot of that minute may be missing.
    """
    return sum(recent[-int(MINUTE / SLOT) :])
