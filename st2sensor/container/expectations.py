"""Watches how long each sensor of this node has been quiet, and announces when one becomes silent or is heard again.

This knowledge outlives the container: it is stored next to the registrations, at long intervals, and is read again
wherever a sensor runs next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from st2sensor.errors import StorageError
from st2sensor.expectations.duration import duration
from st2sensor.expectations.silence import EVENT, POLL, after, merged, must_store, words
from st2sensor.logs.setup import of_sensor
from st2sensor.models import Expectation, Silence
from st2sensor.storage.base import Storage

LOG = logging.getLogger("st2sensor.supervision")

SILENT, HEARD = "core.st2.sensor.silent", "core.st2.sensor.heard"

LOOK_INTERVAL = 1.0
"""Seconds between two checks."""

IDLE_INTERVAL = 5.0
"""Seconds between two checks of a sensor of which nothing is expected; less than silence.LONGEST_SPAN."""

STORAGE_RETRY = 5.0
"""Seconds between two attempts to use a database that does not answer."""

CLOSE_TIMEOUT = 2.0
"""Maximum number of seconds that the ending container waits until everything is stored."""

NOTHING = Expectation()

DONE = {EVENT: "it has dispatched an event", POLL: "a poll has succeeded"}
"""Reasons for which a sensor is no longer silent, in words."""

Counts = tuple[int, int]
"""Numbers of events, and of polls that succeeded."""


class Expectations:
    """For the loop's thread.

    :param threads: the threads that use storage, because storage blocks.
    :param desired: returns the sensors that should run here now.
    :param expected: returns an operator's expectations of a sensor.
    :param counts: returns how many events a sensor has dispatched, and how many of its polls have succeeded, since the
        container started.
    :param emit: dispatches one of the container's own triggers.
    :param clock: monotonic, in seconds.
    """

    def __init__(
        self,
        threads: Executor,
        storage: Storage,
        *,
        desired: Callable[[], Collection[str]],
        expected: Callable[[str], Expectation | None],
        counts: Callable[[str], Counts],
        emit: Callable[[str, dict[str, Any]], None],
        clock: Callable[[], float],
    ) -> None:
        self._threads = threads
        self._storage = storage
        self._desired = desired
        self._expected = expected
        self._counts = counts
        self._emit = emit
        self._clock = clock
        self._advanced: dict[str, float] = {}
        """When each sensor was last checked, on the clock."""
        self._known: dict[str, Silence] = {}
        """The sensors that should run here."""
        self._new: dict[str, set[str]] = {}
        """The sensors whose stored state has not been read yet, with their events and polls meanwhile."""
        self._seen: dict[str, Counts] = {}
        self._stored: dict[str, Silence] = {}
        """The states that are stored, or are on their way to storage."""
        self._unsaved: dict[str, Silence] = {}
        self._sent: Mapping[str, Silence] = {}
        """The states that `_writing` stores."""
        self._reading: Future[list[Silence]] | None = None
        self._asked: frozenset[str] = frozenset()
        """The sensors for which `_reading` was started."""
        self._writing: Future[None] | None = None
        self._retry_at = 0.0
        self._has_failed = False
        self._timer: TimerHandle | None = None

    def follow(self, loop: AbstractEventLoop) -> None:
        """Check at regular intervals from now on."""
        self._timer = loop.call_later(LOOK_INTERVAL, self.follow, loop)
        try:
            self.look()
        except Exception:
            LOG.exception("cannot tell whether sensors are silent; trying again")

    async def close(self) -> None:
        """Stop the checks, and store everything that is known."""
        if self._timer is not None:
            self._timer.cancel()
        for ref, known in self._known.items():
            if ref not in self._new and known != self._stored.get(ref) and self._matters(ref):
                self._unsaved[ref] = known
        with suppress(TimeoutError, StorageError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self._writing is not None:
                    await asyncio.wait([self._writing])
                if self._unsaved:
                    await asyncio.wrap_future(self._threads.submit(self._write, dict(self._unsaved)))

    def silence_of(self, ref: str) -> Silence | None:
        """Return how long a sensor has been quiet; None if nothing is expected of it here."""
        return self._known.get(ref) if self._matters(ref) else None

    def look(self) -> None:
        """Add the time since the last check, and announce changes."""
        now = self._clock()
        desired = self._desired()
        for ref in [ref for ref in self._known if ref not in desired]:
            self._leave(ref)
        for ref in desired:
            if ref not in self._known:
                pack, _, name = ref.partition(".")
                self._known[ref] = Silence(pack=pack, name=name)
                self._new[ref] = set()
                self._stored.pop(ref, None)
        self._take_what_was_read()
        for ref in self._known:
            seconds = now - self._advanced.setdefault(ref, now)
            if seconds >= IDLE_INTERVAL or ref in self._new or self._matters(ref):
                self._advanced[ref] = now
                self._advance(ref, seconds)
        self._use_storage(now)

    def _matters(self, ref: str) -> bool:
        return self._of(ref) != NOTHING or ref in self._stored

    def _of(self, ref: str) -> Expectation:
        return self._expected(ref) or NOTHING

    def _advance(self, ref: str, seconds: float) -> None:
        known, expected, heard = self._known[ref], self._of(ref), self._heard(ref)
        found = after(known, seconds, heard, expected, time.time())
        if ref in self._new:
            # Only the stored state tells whether this was already announced, and it has not been read yet.
            self._new[ref] |= heard
            self._known[ref] = after(known, seconds, heard, NOTHING, 0.0)
            return
        self._known[ref] = found
        if found.missing and not known.missing:
            self._became_silent(ref, found, expected)
        elif known.missing and not found.missing:
            self._was_heard(ref, known, heard)
        nothing = Silence(pack=found.pack, name=found.name)
        if must_store(self._stored.get(ref, nothing), found, expected):
            self._store(found)

    def _heard(self, ref: str) -> set[str]:
        """Return the kinds of things that a sensor has done since the last check."""
        before, counts = self._seen.get(ref, (0, 0)), self._counts(ref)
        self._seen[ref] = counts
        return {name for name, was, is_ in zip((EVENT, POLL), before, counts, strict=True) if is_ != was}

    def _became_silent(self, ref: str, found: Silence, expected: Expectation) -> None:
        text = words(found.missing, expected)
        LOG.warning("%s is silent: %s", ref, text, extra=of_sensor(ref))
        limits = {EVENT: expected.event, POLL: expected.poll}
        payload = {
            "sensor": ref,
            "missing": list(found.missing),
            "expected": {name: duration(value) for name, value in limits.items() if value is not None},
            "reason": text,
            "timestamp": int(time.time()),
        }
        self._emit(SILENT, payload)

    def _was_heard(self, ref: str, known: Silence, heard: Collection[str]) -> None:
        by = next((name for name in known.missing if name in heard), "expectation")
        reason = DONE.get(by, "nothing is expected of it any more")
        LOG.info("%s is no longer silent: %s", ref, reason, extra=of_sensor(ref))
        payload = {
            "sensor": ref,
            "missing": list(known.missing),
            "by": by,
            "silent_since": None if known.since is None else int(known.since),
            "timestamp": int(time.time()),
        }
        self._emit(HEARD, payload)

    def _leave(self, ref: str) -> None:
        known = self._known.pop(ref)
        del self._advanced[ref]
        if self._new.pop(ref, None) is None and self._matters(ref) and known != self._stored.get(ref):
            self._store(known)

    # Storage.

    def _store(self, silence: Silence) -> None:
        self._stored[silence.ref] = self._unsaved[silence.ref] = silence

    def _take_what_was_read(self) -> None:
        if self._reading is None or not self._reading.done():
            return
        reading, self._reading = self._reading, None
        try:
            stored = {silence.ref: silence for silence in reading.result()}
        except StorageError as exception:
            self._failed(exception)
            return
        for ref in self._asked & self._new.keys():
            heard = self._new.pop(ref)
            found = self._unsaved.get(ref) or stored.get(ref)
            self._known[ref] = merged(found, self._known[ref], heard)
            if found is not None:
                self._stored[ref] = found
                # Events and polls since the start end the stored silence in this check.
                events, polls = self._seen.get(ref, (0, 0))
                self._seen[ref] = (events - (EVENT in heard), polls - (POLL in heard))

    def _use_storage(self, now: float) -> None:
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            try:
                writing.result()
            except StorageError as exception:
                self._failed(exception)
                # Drop the sensors that no longer run here: another node may run them by now, and its state is newer.
                self._unsaved = {ref: silence for ref, silence in self._unsaved.items() if ref in self._known}
            else:
                self._has_failed = False
                changed = self._unsaved.items()
                self._unsaved = {ref: silence for ref, silence in changed if self._sent.get(ref) != silence}
        if now < self._retry_at:
            return
        if self._new and self._reading is None:
            self._asked = frozenset(self._new)
            self._reading = asyncio.wrap_future(self._threads.submit(self._storage.all, Silence))
        if self._unsaved and self._writing is None:
            self._sent = dict(self._unsaved)
            self._writing = asyncio.wrap_future(self._threads.submit(self._write, self._sent))

    def _write(self, silences: Mapping[str, Silence]) -> None:
        """Block on storage, in one of its threads."""
        for silence in silences.values():
            self._storage.put(silence)

    def _failed(self, exception: StorageError) -> None:
        self._retry_at = self._clock() + STORAGE_RETRY
        if not self._has_failed:
            LOG.warning("cannot read or store how long sensors have been quiet: %s; trying again", exception)
        self._has_failed = True
