"""Fires the timers that rules ask for, each time exactly once.

The event and the timer's cursor are stored together, so a crash or a takeover neither loses nor repeats a time."""

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
"""Start of a cursor's key; the trigger's name follows."""

WAKE_INTERVAL = 1.0
"""Maximum number of seconds between two checks of the clock, because the clock may have been changed."""

DATASTORE_RETRY = 2.0
"""Seconds until the next try after a failure of the datastore."""

TOGETHER = 10
"""Times of one timer that are fired in one turn, before it is the turn of other timers."""

ORPHANED = timedelta(days=1)
"""Age from which a cursor without a trigger is deleted."""


@dataclass(slots=True, kw_only=True, eq=False)
class Timer:
    """The timer of one trigger.

    :param stored: the cursor's text in the datastore.
    :ivar following: the next time; None if it never fires again. Stored, because finding it may take long.
    :ivar due: the due times that have not been fired yet.
    """

    trigger: Mapping[str, Any]
    schedule: Schedule
    cursor: Cursor
    stored: str | None
    following: datetime | None = field(init=False)
    due: list[datetime] = field(default_factory=list, init=False)
    problem: str | None = None
    """The last reported problem."""

    def __post_init__(self) -> None:
        self.following = self.schedule.after(self.cursor.after)

    def __str__(self) -> str:
        return f"{self.trigger['type']} {self.trigger['ref']}"

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.trigger['name']}"

    def wait(self, now: datetime) -> float:
        """Return the seconds until the timer needs attention."""
        if self.problem is not None:
            return DATASTORE_RETRY
        if self.due or self.following is None:
            return 0 if self.due else WAKE_INTERVAL
        return max(0, (self.following - now).total_seconds())

    def set_back(self, now: datetime) -> Cursor:
        """Return the cursor for a clock that shows `now`. A date is not repeated."""
        if isinstance(self.schedule, Once) and self.cursor.after == self.schedule.date:
            return self.cursor
        return self.cursor.set_back(now, is_interval=self.trigger["type"] == INTERVAL)


class Timekeeper:
    """Fires timers. Only one thread may call `turn`; any thread may call the other methods.

    :param service: the sensor's service.
    :param clock: returns the time in UTC.
    :param zone: the time zone of triggers that name none; None for this host's.
    :param policy: the name of a policy for missed times.
    :param most: maximum number of missed times that are fired.
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
        """Triggers whose cursors have not been read yet, by id."""
        self._timers: dict[str, Timer] = {}
        self._gone: set[str] = set()
        """Keys of cursors to delete."""
        self._is_complete = False
        self._is_away = False
        self._changed = threading.Event()

    def add(self, trigger: Mapping[str, Any]) -> None:
        """Start firing for a trigger, or continue with changed parameters."""
        with self._lock:
            self._timers.pop(trigger["id"], None)
            self._new[trigger["id"]] = trigger
            self._gone.discard(f"{PREFIX}{trigger['name']}")
        self._changed.set()

    def remove(self, trigger: Mapping[str, Any]) -> None:
        """Stop firing for a trigger."""
        with self._lock:
            self._timers.pop(trigger["id"], None)
            self._new.pop(trigger["id"], None)
            self._gone.add(f"{PREFIX}{trigger['name']}")
        self._changed.set()

    def complete(self) -> None:
        """Note that all triggers have been added, so that any other cursor is a leftover."""
        with self._lock:
            self._is_complete = True
        self._changed.set()

    def wait(self, seconds: float) -> None:
        """Wait until something has changed, or for some seconds."""
        self._changed.wait(seconds)
        self._changed.clear()

    def turn(self) -> float:
        """Fire all due times, and return the seconds until the next call."""
        try:
            self._tidy()
            self._begin()
            for timer in self._current():
                self._attend(timer)
        except St2SensorError as error:
            if not self._is_away:
                self._logger.warning("timers are waiting: %s", error)
            self._is_away = True
            return DATASTORE_RETRY
        if self._is_away:
            self._logger.info("timers continue")
        self._is_away = False
        return self._wait()

    def _attend(self, timer: Timer) -> None:
        """Fire one timer if it is due. A problem with this timer does not stop others."""
        try:
            self._fire(timer)
            timer.problem = None
        except St2SensorError as error:
            # The next try may be much later, when more times have been missed.
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
            gone, is_complete = set(self._gone), self._is_complete
        if is_complete:
            gone |= self._orphans()
            with self._lock:
                self._is_complete = False
        for key in gone:
            with suppress(DatastoreRefused):
                self._service.delete_value(key)
            with self._lock:
                self._gone.discard(key)

    def _orphans(self) -> set[str]:
        """Return the keys of old cursors without a trigger; a container may not know of every new trigger yet."""
        limit = self._clock() - ORPHANED
        found = {str(entry.name).partition(":")[2]: str(entry) for entry in self._service.list_values(prefix=PREFIX)}
        with self._lock:
            known = [*self._new.values(), *(timer.trigger for timer in self._timers.values())]
        names = {f"{PREFIX}{trigger['name']}" for trigger in known}
        return {key for key, text in found.items() if key not in names and cursors.moved_at(text) < limit}

    def _begin(self) -> None:
        """Read the cursors of timers that were added, or whose cursors another container has moved."""
        with self._lock:
            new = list(self._new.values())
        for trigger in new:
            timer, is_known = self._timer(trigger)
            with self._lock:
                # The trigger may have been removed or changed in the meantime.
                if self._new.get(trigger["id"]) is not trigger:
                    continue
                del self._new[trigger["id"]]
                if timer is None:
                    continue
                self._timers[trigger["id"]] = timer
            if is_known or self._store(timer, timer.cursor):
                self._say_next(timer)

    def _timer(self, trigger: Mapping[str, Any]) -> tuple[Timer | None, bool]:
        """Return a trigger's timer, if its parameters are valid, and whether it has run before."""
        parameters = trigger["parameters"]
        stored = self._service.get_value(f"{PREFIX}{trigger['name']}")
        known = None if stored is None else cursors.from_text(stored, parameters)
        cursor = known or cursors.new(self._clock(), parameters)
        try:
            schedule = schedule_of(trigger["type"], parameters, cursor.start, self._zone)
        except ValueError as error:
            self._logger.error("%s of %s is not a valid timer: %s", trigger["ref"], trigger["type"], error)
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
            self._logger.warning("the clock was set back: %s continues from %s", timer, now.isoformat())
            timer.due.clear()
            self._store(timer, cursor)
            return
        if not timer.due and timer.following is not None and timer.following <= now:
            self._collect_due(timer, timer.following, now)
        for time in timer.due[:TOGETHER]:
            if not self._is_current(timer) or not self._dispatch(timer, time):
                return
            timer.due.remove(time)

    def _collect_due(self, timer: Timer, first: datetime, now: datetime) -> None:
        """Collect the times to fire now, from the first due time on."""
        found = due(timer.schedule, first, now, self._policy, self._most)
        if found.is_late:
            until, number = found.until.isoformat(), len(found.times)
            text = "%s was not fired on time; the last of its due times was %s; events fired now: %d"
            self._logger.warning(text, timer, until, number)
        timer.due.extend(found.times)
        if not found.times:
            self._store(timer, timer.cursor.moved(found.until))

    def _is_current(self, timer: Timer) -> bool:
        with self._lock:
            return self._timers.get(timer.trigger["id"]) is timer

    def _dispatch(self, timer: Timer, time: datetime) -> bool:
        """Dispatch and move the cursor in one step; False when another container has moved it."""
        trigger, cursor = timer.trigger, timer.cursor.moved(time)
        # StackStorm uses these names and this form.
        payload = {"executed_at": str(self._clock()), "schedule": dict(trigger["parameters"])}
        trace_tag = f"{trigger['type'].partition('.')[2]}-{trigger['name']}"
        events = [(trigger["ref"], payload, trace_tag)]
        done = self._service.dispatch_and_set(events, timer.key, cursor.to_text(), expected=timer.stored)
        return self._moved(timer, cursor, bool(done))

    def _store(self, timer: Timer, cursor: Cursor) -> bool:
        done = self._service.compare_and_set(timer.key, timer.stored, cursor.to_text())
        return self._moved(timer, cursor, bool(done))

    def _moved(self, timer: Timer, cursor: Cursor, done: bool) -> bool:
        """Continue from a cursor if it was stored; otherwise read the stored one again."""
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
