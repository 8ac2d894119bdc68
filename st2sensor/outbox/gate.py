"""Applies operators' limits to new events: drops repeats, keeps a sample, and holds what exceeds a rate.

Decisions and their state are committed with the rows that they concern, so that neither a crash nor a restart lets a
storm through. Under a new fence another container may have dispatched meanwhile: a bucket then begins with one event,
and a repeat is sent once more, with the same message_id. For the writer's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from st2sensor.models.limits import Limits, Rate, SensorLimits
from st2sensor.outbox.database.limit_table import NO_CHANGES, Bucket, Changes, Counts, LimitTable, Seen
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import Lane
from st2sensor.outbox.tail import Row

RELEASED_AT_ONCE = 500
"""Maximum number of held rows that one commit releases."""

RELEASE_INTERVAL = 0.05
"""Minimum number of seconds between two releases of a bucket, so that the releases of a fast bucket share commits."""

KEPT = 20_000
"""Number of message_ids that are remembered in memory. The file knows all of them."""

EMPTY = Counts()


class Gate:
    """Decides for each entry. After `judge` and `released`, call either `settle` or `undo`.

    :param table: the durable state.
    :param clock: the time in seconds since the epoch.
    """

    def __init__(self, table: Callable[[], LimitTable], clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._clock = clock
        self._limits: Mapping[str, SensorLimits] = {}
        self._rates: dict[str, Rate] | None = None
        """The rates by bucket; None until the limits are known."""
        self.buckets, self.counts, self.queued = table().load()
        """The state by bucket, the counts by lane, and the number of held rows by bucket. Other threads may read."""
        self._recent: dict[str, Seen] = {}
        self._news: dict[str, Seen] = {}
        self._withdrawn: set[str] = set()
        self._before: dict[tuple[int, Any], tuple[dict[Any, Any], Any, Any]] = {}
        self._touched: set[tuple[str, Any]] = set()
        self._freed: set[Lane] = set()
        """Lanes whose held rows leave at once."""
        self._released_at = 0.0

    def learn(self, limits: Mapping[str, SensorLimits]) -> None:
        """Replace the limits of all sensors."""
        self._limits = limits
        self._rates = {name: rate for item in limits.values() for name, rate in item.rates.items()}

    @property
    def held(self) -> int:
        """Number of held rows."""
        return sum(self.queued.values())

    def lanes(self) -> frozenset[Lane]:
        """Return the lanes with held rows."""
        return frozenset(lane for lane, counts in self.counts.items() if counts.held > 0)

    def judge(self, entry: Entry, *, is_left: bool = False) -> tuple[bool, str | None]:
        """Return whether an entry is kept, and the bucket that holds it; None if it may leave.

        :param is_left: whether it comes from an abandoned outbox, where it was judged before.
        """
        sensor = self._limits.get(entry.sensor)
        if sensor is None or entry.reason is not None:
            return True, None
        limits = sensor.of(entry.trigger_type)
        if limits.is_unlimited:
            return True, None
        if not is_left and not self._is_chosen(entry, limits):
            return False, None
        return True, None if limits.rate is None else self._bucket_for(entry, limits.rate)

    def is_due(self) -> bool:
        """Return whether held rows may leave now."""
        return self.next_release() <= self._clock()

    def next_release(self) -> float:
        """Return when the next held row may leave, in seconds since the epoch; infinity if none may."""
        if not self.queued:
            return float("inf")
        if self._freed:
            return 0.0
        found = float("inf")
        rates = self._rates
        for name in self.queued if rates is not None else ():
            rate = None if rates is None else rates.get(name)
            if rate is None:
                return 0.0
            if not rate.holds:
                bucket = self._refilled(rate, None, is_known=True)
                found = min(found, bucket.at + max(0.0, 1.0 - bucket.tokens) / rate.rate)
        return max(found, self._released_at + RELEASE_INTERVAL) if found < float("inf") else found

    def released(self) -> list[Row]:
        """Return held rows that leave now, in order, under their old ids."""
        if not self.queued:
            return []
        rows: list[Row] = []
        if self._freed:
            rows += self._table().of_lanes(self._freed, RELEASED_AT_ONCE)
            if len(rows) < RELEASED_AT_ONCE:
                self._freed = set()
        rates = self._rates
        for name in list(self.queued) if rates is not None and not rows else ():
            rate = None if rates is None else rates.get(name)
            if rate is None:
                rows += self._table().of_bucket(name, RELEASED_AT_ONCE)
            elif not rate.holds:
                bucket = self._refilled(rate, None, is_known=True)
                found = self._table().of_bucket(name, min(RELEASED_AT_ONCE, int(bucket.tokens)))
                self._set("bucket", self.buckets, name, bucket._replace(tokens=bucket.tokens - len(found)))
                rows += found
        for row in rows:
            self._count(row.entry, held=-1)
            self._queue(str(row.held), -1)
        if rows:
            self._released_at = self._clock()
        return rows

    def free(self, sensor: str | None, trigger: str | None) -> int:
        """Release the held rows of a sensor or a trigger type at once. Return their number.

        :param sensor: None for all sensors; `trigger`: None for all types.
        """
        chosen = {lane for lane in self.lanes() if sensor in (None, lane[0]) and trigger in (None, lane[1])}
        self._freed |= chosen
        return sum(self.counts[lane].held for lane in chosen)

    def changes(self) -> Changes:
        """Return the state to commit."""
        touched = self._touched
        if not touched and not self._news and not self._withdrawn:
            return NO_CHANGES
        return Changes(
            buckets=[(name, self.buckets[name]) for kind, name in touched if kind == "bucket" and name in self.buckets],
            counts=[(lane, self.counts[lane]) for kind, lane in touched if kind == "count" and lane in self.counts],
            seen=list(self._news.items()),
            unseen=[name for name in self._withdrawn if name not in self._news],
        )

    def settle(self) -> None:
        """Note that the changes are on disk."""
        self._recent.update(self._news)
        while len(self._recent) > KEPT:
            del self._recent[next(iter(self._recent))]
        self._news, self._withdrawn, self._touched = {}, set(), set()
        self._before.clear()

    def undo(self) -> None:
        """Take back all decisions since `settle`: they are made again."""
        for values, key, before in self._before.values():
            if before is None:
                values.pop(key, None)
            else:
                values[key] = before
        self._before.clear()
        self._withdrawn |= self._news.keys()
        self._news = {}

    def _is_chosen(self, entry: Entry, limits: Limits) -> bool:
        if limits.key and is_derived(entry.message_id):
            name, fence = entry.message_id, entry.fence
            seen = self._news.get(name) or self._recent.get(name) or self._table().seen(name)
            if seen is not None and seen.fence == fence and (name in self._news or name not in self._withdrawn):
                self._count(entry, duplicates=1)
                return False
            self._news[name] = Seen(entry.created + limits.window, fence)
        if limits.sample > 1:
            number = self.counts.get((entry.sensor, entry.trigger_type), EMPTY).offered
            self._count(entry, offered=1)
            if number % limits.sample:
                self._count(entry, sampled=1)
                return False
        return True

    def _bucket_for(self, entry: Entry, rate: Rate) -> str | None:
        """Take a token. Return None, or the bucket that holds the entry."""
        bucket = self._refilled(rate, entry.fence)
        if not self.queued.get(rate.bucket) and bucket.tokens >= 1.0:
            self._set("bucket", self.buckets, rate.bucket, Bucket(bucket.tokens - 1.0, bucket.at, bucket.fence))
            return None
        self._set("bucket", self.buckets, rate.bucket, bucket)
        self._queue(rate.bucket, 1)
        self._count(entry, held=1)
        return rate.bucket

    def _refilled(self, rate: Rate, fence: int | None, *, is_known: bool = False) -> Bucket:
        now, known = self._clock(), self.buckets.get(rate.bucket)
        if known is None:
            return Bucket(1.0 if fence is not None else rate.burst, now, fence)
        if not is_known and known.fence != fence:
            return Bucket(min(1.0, known.tokens + max(0.0, now - known.at) * rate.rate), now, fence)
        # A clock that was set back adds no tokens; a clock that was set forward at most fills the bucket.
        return Bucket(min(rate.burst, known.tokens + max(0.0, now - known.at) * rate.rate), now, known.fence)

    def _count(self, entry: Entry, **more: int) -> None:
        lane = (entry.sensor, entry.trigger_type)
        counts = self.counts.get(lane, EMPTY)
        changed = {name: getattr(counts, name) + number for name, number in more.items()}
        self._set("count", self.counts, lane, counts._replace(last=self._clock(), **changed))

    def _queue(self, bucket: str, number: int) -> None:
        self._set("queue", self.queued, bucket, self.queued.get(bucket, 0) + number)
        if not self.queued[bucket]:
            del self.queued[bucket]

    def _set(self, kind: str, values: dict[Any, Any], key: Any, value: Any) -> None:
        self._before.setdefault((id(values), key), (values, key, values.get(key)))
        self._touched.add((kind, key))
        values[key] = value


def is_derived(message_id: str) -> bool:
    """Return whether a message_id follows from an event's key: whether it is a UUID of version 5."""
    return message_id[12:13] == "5"
