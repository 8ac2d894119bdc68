"""Runs the datastore's calls in threads of their own, and holds them while the database is away.

A call that fails because the database cannot be reached is tried again when the database answers, up to its deadline.
While it is away only one probe asks for it, so that calls do not queue up behind each other's timeouts.
"""

from __future__ import annotations

import logging
import queue
import threading
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from st2sensor.errors import DatastoreError, DatastoreUnavailable, StorageError, StorageUnavailable
from st2sensor.health import Health, changed

LOG = logging.getLogger(__name__)

THREADS = 4

PROBE = 0.25
"""Seconds between two probes of a database that is away."""

R = TypeVar("R")

Done = Callable[[Any, Exception | None], None]
"""Told of a call's result, or of its error, from any thread. Must not raise or wait."""


class Call:
    """:param owner: the sensor that asks.
    :param repeatable: whether it does no harm a second time, when nobody knows whether it was carried out.
    :param writes: whether it changes anything.
    :param until: when it is given up, by the loop's clock.
    :ivar uncertain: whether it may have been carried out, though nobody knows.
    """

    __slots__ = ("done", "function", "owner", "repeatable", "uncertain", "until", "writes")

    def __init__(
        self,
        owner: str,
        function: Callable[[], Any],
        done: Done,
        *,
        repeatable: bool = True,
        writes: bool = False,
        until: float = 0.0,
    ) -> None:
        self.owner = owner
        self.function = function
        self.done = done
        self.repeatable = repeatable
        self.writes = writes
        self.until = until
        self.uncertain = False

    def unavailable(self, reason: object) -> DatastoreUnavailable:
        """What its asker is told when it is given up."""
        if self.uncertain and (self.writes or not self.repeatable):
            return DatastoreUnavailable(f"{reason}; whether it was carried out is not known", uncertain=True)
        return DatastoreUnavailable(str(reason))


class Storing:
    """For the loop's thread.

    :param ping: reaches for the database, and raises StorageUnavailable when it is away.
    :param timeout: seconds until a call is given up.
    """

    def __init__(self, loop: AbstractEventLoop, ping: Callable[[], None], timeout: float) -> None:
        self._loop = loop
        self._ping = ping
        self._timeout = timeout
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._away: StorageUnavailable | None = None
        """Why calls are held."""
        self.health = Health(reason="")
        """Of the database, as the last calls found it."""
        self._held: dict[Call, TimerHandle] = {}
        self._closing = False
        self._impatient: set[str] = set()
        """Sensors that do not wait, because they are asked to stop."""
        for number in range(THREADS):
            threading.Thread(target=self._work, name=f"datastore-{number}", daemon=True).start()

    def submit(
        self,
        owner: str,
        function: Callable[[], R],
        done: Done,
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
        until = self._loop.time() + (self._timeout if patient and not self._closing else 0.0)
        call = Call(owner, function, done, repeatable=repeatable, writes=writes, until=until)
        if self._away is None:
            self._queue.put(call)
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

    def close(self) -> None:
        """End the threads, once they have made the calls that they were given."""
        self.give_up()
        for _ in range(THREADS):
            self._queue.put(None)

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            away = self._away
            if away is not None and call.owner:
                self._in_loop(self._hold, call, away)
                continue
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
        if call.until <= self._loop.time() or self._closing or call.owner in self._impatient:
            self._tell(call, None, call.unavailable(reason))
        elif self._away is None:
            self._queue.put(call)
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
                self._in_loop(self._release)
            except Exception as exception:
                LOG.exception("whether the database is back cannot be told; it is asked again")
                self._in_loop(self._still_away, StorageUnavailable(f"the database cannot be asked: {exception!r}"))
            else:
                self._in_loop(self._release)

        if not self._closing:
            self._queue.put(Call("", probe, lambda *_: None))

    def _still_away(self, reason: StorageUnavailable) -> None:
        self._away = reason
        self._loop.call_later(PROBE, self._probe)

    def _release(self) -> None:
        LOG.info("the datastore's calls go on")
        self._away = None
        self.health = changed(self.health, "")
        for call, timer in self._held.items():
            timer.cancel()
            self._queue.put(call)
        self._held.clear()

    def _tell(self, call: Call, result: Any, error: Exception | None) -> None:
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
