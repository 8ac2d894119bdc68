"""Keeps the timers that rules ask for, and fires each at its time, once: the event and the timer's cursor are stored
together, whatever crashes and whoever takes over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from st2sensor.core_pack.timers import cursor as cursors
from st2sensor.core_pack.timers.cursor import Cursor
from st2sensor.core_pack.timers.missed import due
from st2sensor.core_pack.timers.schedule import INTERVAL, Once, Schedule, schedule_of
from st2sensor.errors import DatastoreError, DatastoreRefused, DatastoreUnavailable, St2SensorError

PREFIX = "cursor."
"""Of the keys that cursors are stored under, before the trigger's name."""

WAKE_INTERVAL = 1.0
"""Seconds until the clock is looked at again, at the most: it may have been set."""

DATASTORE_RETRY = 2.0
"""Seconds until a datastore that refused is asked again."""

TOGETHER = 10
"""Times of one timer that are fired before others have their turn."""

ORPHANED = timedelta(days=1)
"""For so long a cursor has not moved that is deleted because no trigger is known for it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Timer:
    """One trigger.

    :param stored: its cursor's text in the datastore.
    :ivar following: when it fires next; None for never again. Kept, because it may be long to find.
    :ivar due: the times that are left of those it fires now.
    """

    trigger: Mapping[str, Any]
    schedule: Schedule
    cursor: Cursor
    stored: str | None
    following: datetime | None = field(init=False)
    due: list[datetime] = field(default_factory=list, init=False)
    problem: str | None = None
    """What was last said to be wrong with it."""

    def __post_init__(self) -> None:
        self.following = self.schedule.after(self.cursor.after)

    def __str__(self) -> str:
        return f"{self.trigger['type']} {self.trigger['ref']}"

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.trigger['name']}"

    def wait(self, now: datetime) -> float:
        """Seconds until it is to be looked at."""
        if self.problem is not None:
            return DATASTORE_RETRY
        if self.due or self.following is None:
            return 0 if self.due else WAKE_INTERVAL
        return max(0, (self.following - now).total_seconds())

    def set_back(self, now: datetime) -> Cursor:
        """Its cursor for a clock that shows `now`. A date does not come again."""
        if isinstance(self.schedule, Once) and self.cursor.after == self.schedule.date:
            return self.cursor
        return self.cursor.set_back(now, is_interval=self.trigger["type"] == INTERVAL)


class Timekeeper:
    """`turn` is for one thread, the rest for any.

    :param service: the sensor's.
    :param clock: gives the time in UTC.
    :param zone: the time zone of triggers that name none; None for this host's.
    :param policy: for times that were missed.
    :param most: of these, how many are fired at the most.
    """

    def __init__(
        self,
        service: Any,
        logger: logging.Logger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        zone: str | None = None,
        policy: str = "once",
        most: int = 1000,
    ) -> None:
        self._service = service
        self._logger = logger
        self._clock = clock
        self._zone = zone
        self._policy = policy
        self._most = most
        self._lock = threading.Lock()
        self._new: dict[str, Mapping[str, Any]] = {}
        """Triggers whose cursors are not read yet, by id."""
        self._timers: dict[str, Timer] = {}
        self._gone: set[str] = set()
        """Keys of cursors that are to be deleted."""
        self._is_complete = False
        self._is_away = False
        self._changed = threading.Event()

    def add(self, trigger: Mapping[str, Any]) -> None:
        """Fire for a trigger from now on, or by other parameters."""
        with self._lock:
            self._timers.pop(trigger["id"], None)
            self._new[trigger["id"]] = trigger
            self._gone.discard(f"{PREFIX}{trigger['name']}")
        self._changed.set()

    def remove(self, trigger: Mapping[str, Any]) -> None:
        """Fire for a trigger no longer."""
        with self._lock:
            self._timers.pop(trigger["id"], None)
            self._new.pop(trigger["id"], None)
            self._gone.add(f"{PREFIX}{trigger['name']}")
        self._changed.set()

    def complete(self) -> None:
        """Every trigger that there is has been added: cursors of others are left from before."""
        with self._lock:
            self._is_complete = True
        self._changed.set()

    def wait(self, seconds: float) -> None:
        """Until something has changed, for so long at the most."""
        self._changed.wait(seconds)
        self._changed.clear()

    def turn(self) -> float:
        """Fire what is due. Returns the seconds after which to call it again."""
        try:
            self._tidy()
            self._begin()
            for timer in self._current():
                self._attend(timer)
        except St2SensorError as error:
            if not self._is_away:
                self._logger.warning("timers wait: %s", error)
            self._is_away = True
            return DATASTORE_RETRY
        if self._is_away:
            self._logger.info("timers go on")
        self._is_away = False
        return self._wait()

    def _attend(self, timer: Timer) -> None:
        """Fire one timer if it is due. What is wrong with it alone harms no other."""
        try:
            self._fire(timer)
            timer.problem = None
        except St2SensorError as error:
            # It may be long until it is tried again: more will have been missed then.
            timer.due.clear()
            if isinstance(error, DatastoreUnavailable) or not isinstance(error, DatastoreError):
                raise
            if timer.problem != str(error):
                self._logger.error("%s cannot be fired: %s", timer, error)
            timer.problem = str(error)

    def _current(self) -> list[Timer]:
        with self._lock:
            return list(self._timers.values())

    def _wait(self) -> float:
        now = self._clock()
        return min([WAKE_INTERVAL, *(timer.wait(now) for timer in self._current())])

    def _tidy(self) -> None:
        """Delete the cursors of triggers that are gone."""
        with self._lock:
            gone, look = set(self._gone), self._is_complete
        if look:
            gone |= self._orphans()
            with self._lock:
                self._is_complete = False
        for key in gone:
            with suppress(DatastoreRefused):
                self._service.delete_value(key)
            with self._lock:
                self._gone.discard(key)

    def _orphans(self) -> set[str]:
        """Keys of cursors of no trigger that have not moved for long: a container that has not seen the database for a
        while may not know of every trigger."""
        limit = self._clock() - ORPHANED
        found = {str(entry.name).partition(":")[2]: str(entry) for entry in self._service.list_values(prefix=PREFIX)}
        with self._lock:
            known = [*self._new.values(), *(timer.trigger for timer in self._timers.values())]
        names = {f"{PREFIX}{trigger['name']}" for trigger in known}
        return {key for key, text in found.items() if key not in names and cursors.moved_at(text) < limit}

    def _begin(self) -> None:
        """Look how far the timers have come that were added, or whose cursors somebody else has moved."""
        with self._lock:
            new = list(self._new.values())
        for trigger in new:
            timer, is_known = self._timer(trigger)
            with self._lock:
                # It may have gone, or changed, meanwhile.
                if self._new.get(trigger["id"]) is not trigger:
                    continue
                del self._new[trigger["id"]]
                if timer is None:
                    continue
                self._timers[trigger["id"]] = timer
            if is_known or self._store(timer, timer.cursor):
                self._say_next(timer)

    def _timer(self, trigger: Mapping[str, Any]) -> tuple[Timer | None, bool]:
        """A trigger's timer, if its parameters make one, and whether it has run before."""
        parameters = trigger["parameters"]
        stored = self._service.get_value(f"{PREFIX}{trigger['name']}")
        known = None if stored is None else cursors.from_text(stored, parameters)
        cursor = known or cursors.new(self._clock(), parameters)
        try:
            schedule = schedule_of(trigger["type"], parameters, cursor.start, self._zone)
        except ValueError as error:
            self._logger.error("%s of %s is no timer: %s", trigger["ref"], trigger["type"], error)
            return None, False
        timer = Timer(trigger=trigger, schedule=schedule, cursor=cursor, stored=None if stored is None else str(stored))
        return timer, known is not None

    def _say_next(self, timer: Timer) -> None:
        if timer.following is None:
            self._logger.warning("%s never fires again: %s", timer, dict(timer.cursor.parameters))
        elif timer.following <= self._clock():
            self._logger.info("%s was due at %s", timer, timer.following.isoformat())
        else:
            self._logger.info("%s fires next at %s", timer, timer.following.isoformat())

    def _fire(self, timer: Timer) -> None:
        now = self._clock()
        cursor = timer.set_back(now)
        if cursor is not timer.cursor:
            self._logger.warning("the clock was set back: %s goes on from %s", timer, now.isoformat())
            timer.due.clear()
            self._store(timer, cursor)
            return
        if not timer.due and timer.following is not None and timer.following <= now:
            self._look(timer, timer.following, now)
        for time in timer.due[:TOGETHER]:
            if not self._is_current(timer) or not self._dispatch(timer, time):
                return
            timer.due.remove(time)

    def _look(self, timer: Timer, first: datetime, now: datetime) -> None:
        """Find what of a timer is to be fired now; the first of it has come."""
        found = due(timer.schedule, first, now, self._policy, self._most)
        if found.is_late:
            until, number = found.until.isoformat(), len(found.times)
            self._logger.warning("%s was not fired in time, the last time at %s; fired now: %d", timer, until, number)
        timer.due.extend(found.times)
        if not found.times:
            self._store(timer, timer.cursor.moved(found.until))

    def _is_current(self, timer: Timer) -> bool:
        with self._lock:
            return self._timers.get(timer.trigger["id"]) is timer

    def _dispatch(self, timer: Timer, time: datetime) -> bool:
        """Fire, and note it, together; False where that is not for this cursor to do."""
        trigger, cursor = timer.trigger, timer.cursor.moved(time)
        # Names and form are StackStorm's.
        payload = {"executed_at": str(self._clock()), "schedule": dict(trigger["parameters"])}
        trace_tag = f"{trigger['type'].partition('.')[2]}-{trigger['name']}"
        events = [(trigger["ref"], payload, trace_tag)]
        done = self._service.dispatch_and_set(events, timer.key, cursor.to_text(), expected=timer.stored)
        return self._moved(timer, cursor, bool(done))

    def _store(self, timer: Timer, cursor: Cursor) -> bool:
        done = self._service.compare_and_set(timer.key, timer.stored, cursor.to_text())
        return self._moved(timer, cursor, bool(done))

    def _moved(self, timer: Timer, cursor: Cursor, done: bool) -> bool:
        """Go on from a cursor that was stored; from the one that is there where it was not."""
        if not done:
            with self._lock:
                if self._timers.pop(timer.trigger["id"], None) is timer:
                    self._new[timer.trigger["id"]] = timer.trigger
            return False
        if cursor.start != timer.cursor.start:
            timer.schedule = schedule_of(timer.trigger["type"], cursor.parameters, cursor.start, self._zone)
        timer.cursor, timer.stored = cursor, cursor.to_text()
        timer.following = timer.schedule.after(cursor.after)
        return True
