"""Runs the datastore's calls in threads of their own, and holds them while the database is away.

A call that fails because the database cannot be reached is tried again when the database answers, up to its deadline.
While it is away only one probe asks for it, so that calls do not queue up behind each other's timeouts. A sensor has a
few threads at a time: its slow calls hold up its own next ones, and nobody else's.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from st2sensor.container.sessions.fair_queue import FairQueue
from st2sensor.errors import DatastoreError, DatastoreUnavailable, StorageError, StorageUnavailable
from st2sensor.health import Health, changed

LOG = logging.getLogger("st2sensor.datastore")

THREADS = 8
"""At the most: each is started when all others are busy."""

SHARE = 2
"""Threads that one sensor has at a time."""

PROBE = 0.25
"""Seconds between two probes of a database that is away."""

RECONNECT_INTERVAL = 1.0
"""Seconds between two looks for calls that the database does not answer, and for threads that could not be started."""

R = TypeVar("R")

OnDone = Callable[[Any, Exception | None], None]
"""Told of a call's result, or of its error, from any thread. Must not raise or wait."""


class Call:
    """:param owner: the sensor that asks; empty for the probe.
    :param repeatable: whether it does no harm a second time, when nobody knows whether it was carried out.
    :param writes: whether it changes anything.
    :param since: when it was made, and `until` when it is given up, by the loop's clock.
    :ivar uncertain: whether it may have been carried out, though nobody knows.
    """

    __slots__ = ("done", "function", "owner", "repeatable", "since", "uncertain", "until", "writes")

    def __init__(
        self,
        owner: str,
        function: Callable[[], Any],
        done: OnDone,
        *,
        repeatable: bool = True,
        writes: bool = False,
        since: float = 0.0,
        until: float = 0.0,
    ) -> None:
        self.owner = owner
        self.function = function
        self.done = done
        self.repeatable = repeatable
        self.writes = writes
        self.since = since
        self.until = until
        self.uncertain = False

    def unavailable(self, reason: object) -> DatastoreUnavailable:
        """What its asker is told when it is given up."""
        if self.uncertain and (self.writes or not self.repeatable):
            return DatastoreUnavailable(f"{reason}; whether it was carried out is not known", uncertain=True)
        return DatastoreUnavailable(str(reason))


class DatabaseCalls:
    """For the loop's thread.

    :param ping: reaches for the database, and raises StorageUnavailable when it is away.
    :param timeout: seconds until a call is given up.
    """

    def __init__(self, loop: AbstractEventLoop, ping: Callable[[], None], timeout: float) -> None:
        self._loop = loop
        self._ping = ping
        self._timeout = timeout
        self._queue: FairQueue[Call] = FairQueue(SHARE)
        self._threads = 0
        self._can_start = True
        self._away: StorageUnavailable | None = None
        """Why calls are held."""
        self.health = Health(reason="")
        """Of the database, as the last calls found it."""
        self._open: dict[Call, None] = {}
        """Calls that are not answered yet: who takes one out answers it."""
        self._held: dict[Call, TimerHandle] = {}
        self._looking = False
        self._closing = False
        self._impatient: set[str] = set()
        """Sensors that do not wait, because they are asked to stop."""

    def submit(
        self,
        owner: str,
        function: Callable[[], R],
        done: OnDone,
        *,
        repeatable: bool = True,
        writes: bool = False,
        patient: bool = True,
    ) -> None:
        """Have a call made.

        Its errors are told as sensors get them: DatastoreUnavailable, DatastoreError, or what it raised.

        :param writes: whether it changes anything.
        :param patient: whether it waits for a database that is away.
        """
        if patient:
            self._impatient.discard(owner)
        now = self._loop.time()
        until = now + (self._timeout if patient and not self._closing else 0.0)
        call = Call(owner, function, done, repeatable=repeatable, writes=writes, since=now, until=until)
        self._open[call] = None
        if not self._looking:
            self._looking = True
            self._loop.call_later(RECONNECT_INTERVAL, self._look)
        if self._away is None:
            self._put(call)
        else:
            self._hold(call, self._away)

    async def run(
        self,
        owner: str,
        function: Callable[[], R],
        *,
        repeatable: bool = True,
        writes: bool = False,
        patient: bool = True,
    ) -> R:
        """Make a call, and wait for it. Raises what `submit` tells."""
        settled: Future[R] = self._loop.create_future()

        def done(result: R, error: Exception | None) -> None:
            self._in_loop(_settle, settled, result, error)

        self.submit(owner, function, done, repeatable=repeatable, writes=writes, patient=patient)
        return await settled

    def give_up(self, owner: str | None = None) -> None:
        """A sensor's calls do not wait any longer, until it makes a patient one; without a sensor, nobody's ever do."""
        if owner is None:
            self._closing = True
        else:
            self._impatient.add(owner)
        for call in [call for call in self._held if owner in (None, call.owner)]:
            self._give_up(call)

    def release(self, owner: str, before: float) -> None:
        """Answer a sensor's calls that were made before then, by the loop's clock, also those on their way."""
        for call in list(self._open):
            if call.owner == owner and call.since <= before:
                self._drop(call, "the sensor is asked to stop before the database has answered")

    def close(self) -> None:
        """End the threads, once they have made the calls that they were given."""
        self.give_up()
        self._queue.close()

    def _put(self, call: Call) -> None:
        if self._queue.put(call.owner, call) and self._threads < THREADS:
            self._start_thread()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name=f"datastore-{self._threads}", daemon=True).start()
        except RuntimeError as error:
            # Calls wait for the threads that there are, or for the next look, up to their deadlines.
            if self._can_start:
                LOG.error("%d threads make the datastore's calls, and no more can be started: %s", self._threads, error)
            self._can_start = False
        else:
            self._threads += 1
            self._can_start = True

    def _look(self) -> None:
        """Answer calls that are on their way for too long; what comes of them is not told any more."""
        self._looking = bool(self._open)
        if self._looking:
            self._loop.call_later(RECONNECT_INTERVAL, self._look)
        if self._open and not self._threads:
            self._start_thread()
        now = self._loop.time()
        for call in list(self._open):
            if call not in self._held and call.until + RECONNECT_INTERVAL <= now:
                self._drop(call, f"the database has not answered within {self._timeout:g} s")

    def _drop(self, call: Call, why: str) -> None:
        if call in self._held:
            self._held.pop(call).cancel()
        else:
            # A thread may be making it.
            call.uncertain = True
        self._tell(call, None, call.unavailable(why))

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            try:
                self._make(call)
            except Exception:
                LOG.exception("%s: a datastore call cannot be made", call.owner)
            finally:
                self._queue.done(call.owner)

    def _make(self, call: Call) -> None:
        away = self._away
        if away is not None and call.owner:
            self._in_loop(self._hold, call, away)
            return
        if call.owner and call not in self._open:
            # Its sensor has not waited for its turn.
            return
        try:
            result = call.function()
        except StorageUnavailable as exception:
            self._in_loop(self._failed, call, exception)
        except StorageError as exception:
            self._tell(call, None, DatastoreError(str(exception)))
        except Exception as exception:  # noqa: BLE001 (it is the asker's, as the arguments were)
            self._tell(call, None, exception)
        else:
            self._tell(call, result, None)

    def _failed(self, call: Call, reason: StorageUnavailable) -> None:
        if self._away is None and not self._closing:
            self._away = reason
            self.health = changed(self.health, f"{reason}; the datastore's calls wait up to {self._timeout:g} s")
            LOG.warning("%s", self.health.reason)
            self._loop.call_later(PROBE, self._probe)
        call.uncertain = call.uncertain or reason.uncertain
        if reason.uncertain and not call.repeatable:
            self._tell(call, None, call.unavailable(reason))
        else:
            self._hold(call, reason)

    def _hold(self, call: Call, reason: StorageUnavailable) -> None:
        if call not in self._open:
            return
        if call.until <= self._loop.time() or self._closing or call.owner in self._impatient:
            self._tell(call, None, call.unavailable(reason))
        elif self._away is None:
            self._put(call)
        else:
            self._held[call] = self._loop.call_at(call.until, self._give_up, call)

    def _give_up(self, call: Call) -> None:
        self._held.pop(call).cancel()
        self._tell(call, None, call.unavailable(self._away))

    def _probe(self) -> None:
        """Ask again whether the database is back; whatever else it answers, it does."""

        def probe() -> None:
            try:
                self._ping()
            except StorageUnavailable as exception:
                self._in_loop(self._still_away, exception)
            except StorageError:
                self._in_loop(self._resume)
            except Exception as exception:
                reason = StorageUnavailable(f"the database cannot be asked: {exception!r}")
                if str(reason) != str(self._away):
                    LOG.exception("it cannot be told whether the database is back; it is asked again")
                self._in_loop(self._still_away, reason)
            else:
                self._in_loop(self._resume)

        if not self._closing:
            now = self._loop.time()
            self._put(Call("", probe, lambda *_: None, since=now, until=now))

    def _still_away(self, reason: StorageUnavailable) -> None:
        self._away = reason
        self._loop.call_later(PROBE, self._probe)

    def _resume(self) -> None:
        LOG.info("the datastore's calls go on")
        self._away = None
        self.health = changed(self.health, "")
        held, self._held = self._held, {}
        for call, timer in held.items():
            timer.cancel()
            self._put(call)

    def _tell(self, call: Call, result: Any, error: Exception | None) -> None:
        """Once: who comes second comes too late."""
        if self._open.pop(call, call) is call:
            return
        try:
            call.done(result, error)
        except Exception:
            LOG.exception("%s: a datastore call cannot be answered", call.owner)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that has ended has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _settle(settled: Future[Any], result: Any, error: Exception | None) -> None:
    if settled.done():
        return
    if error is None:
        settled.set_result(result)
    else:
        settled.set_exception(error)
