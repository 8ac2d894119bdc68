"""Makes the datastore's calls, and holds them while the database is unreachable.

A call that fails because the database cannot be reached is repeated when the database answers again, until the call's
deadline. While the database is unreachable, only one probe tries to reach it, so that calls do not queue up behind each
other's timeouts. Each sensor has only a few threads at a time, so that its slow calls delay only its own later calls.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from st2sensor.container.sessions.datastore.call import Call, OnDone
from st2sensor.container.sessions.datastore.call_threads import CallThreads
from st2sensor.errors import DatastoreError, StorageError, StorageUnavailable
from st2sensor.health import Health, changed
from st2sensor.system.event_loop import call_in_loop

LOG = logging.getLogger("st2sensor.datastore")

PROBE_INTERVAL = 0.25
"""Seconds between two probes of a database that is unreachable."""

OVERDUE_CHECK_INTERVAL = 1.0
"""Seconds between two checks for calls without an answer, and for threads that could not be started."""

R = TypeVar("R")


class DatabaseCalls:
    """For the loop's thread.

    :param ping: sends the database any request, and raises StorageUnavailable if it is unreachable.
    :param timeout: seconds until a call is given up.
    """

    def __init__(self, loop: AbstractEventLoop, ping: Callable[[], None], timeout: float) -> None:
        self._loop = loop
        self._ping = ping
        self._timeout = timeout
        self._threads = CallThreads(self._make)
        self._away: StorageUnavailable | None = None
        """Why calls are held; None while they are not."""
        self.health = Health(reason="")
        """Health of the database, as of the last calls."""
        self._open: dict[Call, None] = {}
        """Calls without an answer yet. The thread that removes a call is the one that answers it."""
        self._held: dict[Call, TimerHandle] = {}
        self._checking = False
        self._closing = False
        self._impatient: set[str] = set()
        """Sensors whose calls are not held, because the sensors have been asked to stop."""

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
        """Make a call in a thread.

        `done` gets errors as sensors see them: DatastoreUnavailable, DatastoreError, or the error that the call raised.

        :param writes: whether the call changes a key.
        :param patient: whether the call waits for a database that is unreachable.
        """
        if patient:
            self._impatient.discard(owner)
        now = self._loop.time()
        until = now + (self._timeout if patient and not self._closing else 0.0)
        call = Call(owner, function, done, repeatable=repeatable, writes=writes, since=now, until=until)
        self._open[call] = None
        if not self._checking:
            self._checking = True
            self._loop.call_later(OVERDUE_CHECK_INTERVAL, self._check_overdue)
        if self._away is None:
            self._threads.put(call)
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
        """Make a call, and wait for its result. Raises the errors that `submit` passes to `done`."""
        # Awaited without a name: an error's traceback holds this frame, which must not hold the future of the error.
        return await self._submitted(owner, function, repeatable=repeatable, writes=writes, patient=patient)

    def _submitted(self, owner: str, function: Callable[[], R], **how: bool) -> Future[R]:
        settled: Future[R] = self._loop.create_future()
        self.submit(owner, function, partial(call_in_loop, self._loop, _settle, settled), **how)
        return settled

    def give_up(self, owner: str | None = None) -> None:
        """Fail a sensor's held calls now, and hold no more of its calls until it makes one with `patient`.

        :param owner: the sensor; None fails the calls of all sensors, for good.
        """
        if owner is None:
            self._closing = True
        else:
            self._impatient.add(owner)
        for call in [call for call in self._held if owner in (None, call.owner)]:
            self._give_up(call)

    def release(self, owner: str, before: float) -> None:
        """Fail the calls that a sensor made before a given time (loop's clock), even those that a thread is making."""
        for call in list(self._open):
            if call.owner == owner and call.since <= before:
                self._drop(call, "the sensor was asked to stop before the database answered")

    def close(self) -> None:
        """Fail the held calls, and end the threads once they have made the queued calls."""
        self.give_up()
        self._threads.close()

    def _check_overdue(self) -> None:
        """Fail calls whose answer is overdue. Their results are discarded if they arrive later."""
        self._checking = bool(self._open)
        if self._checking:
            self._loop.call_later(OVERDUE_CHECK_INTERVAL, self._check_overdue)
            self._threads.ensure_one()
        now = self._loop.time()
        for call in list(self._open):
            if call not in self._held and call.until + OVERDUE_CHECK_INTERVAL <= now:
                # An impatient call still gets the time until the next check.
                limit = call.until - call.since or OVERDUE_CHECK_INTERVAL
                self._drop(call, f"the database has not answered within {limit:g} s")

    def _drop(self, call: Call, why: str) -> None:
        if call in self._held:
            self._held.pop(call).cancel()
        else:
            # A thread may be making the call.
            call.uncertain = True
        self._answer(call, None, call.unavailable(why))

    def _make(self, call: Call) -> None:
        """Make a call, unless it has already been answered. Called in one of the threads."""
        away = self._away
        if away is not None and call.owner:
            call_in_loop(self._loop, self._hold, call, away)
            return
        if call.owner and call not in self._open:
            # The call was answered with an error before its turn came.
            return
        try:
            result = call.function()
        except StorageUnavailable as exception:
            call_in_loop(self._loop, self._failed, call, exception)
        except StorageError as exception:
            self._answer(call, None, DatastoreError(str(exception)))
        except Exception as exception:  # noqa: BLE001 (it is the sensor's error, because the sensor chose the arguments)
            self._answer(call, None, exception)
        else:
            self._answer(call, result, None)
        finally:
            # As in system.threads: an error's traceback must not hold the call, whose future holds the error.
            del call

    def _failed(self, call: Call, reason: StorageUnavailable) -> None:
        if self._away is None and not self._closing:
            self._away = reason
            self.health = changed(self.health, f"{reason}; the datastore's calls wait up to {self._timeout:g} s")
            LOG.warning("%s", self.health.reason)
            self._loop.call_later(PROBE_INTERVAL, self._probe)
        call.uncertain = call.uncertain or reason.uncertain
        if reason.uncertain and not call.repeatable:
            self._answer(call, None, call.unavailable(reason))
        else:
            self._hold(call, reason)

    def _hold(self, call: Call, reason: StorageUnavailable) -> None:
        if call not in self._open:
            return
        if call.until <= self._loop.time() or self._closing or call.owner in self._impatient:
            self._answer(call, None, call.unavailable(reason))
        elif self._away is None:
            self._threads.put(call)
        else:
            self._held[call] = self._loop.call_at(call.until, self._give_up, call)

    def _give_up(self, call: Call) -> None:
        self._held.pop(call).cancel()
        self._answer(call, None, call.unavailable(self._away))

    def _probe(self) -> None:
        """Check whether the database is back. Any answer counts, even a refusal."""

        def probe() -> None:
            try:
                self._ping()
            except StorageUnavailable as exception:
                call_in_loop(self._loop, self._still_away, exception)
            except StorageError:
                call_in_loop(self._loop, self._resume)
            except Exception as exception:
                reason = StorageUnavailable(f"the database cannot be probed: {exception!r}")
                if str(reason) != str(self._away):
                    LOG.exception("cannot tell whether the database is back; trying again")
                call_in_loop(self._loop, self._still_away, reason)
            else:
                call_in_loop(self._loop, self._resume)

        if not self._closing:
            now = self._loop.time()
            self._threads.put(Call("", probe, lambda *_: None, since=now, until=now))

    def _still_away(self, reason: StorageUnavailable) -> None:
        self._away = reason
        self._loop.call_later(PROBE_INTERVAL, self._probe)

    def _resume(self) -> None:
        LOG.info("datastore calls resume")
        self._away = None
        self.health = changed(self.health, "")
        held, self._held = self._held, {}
        for call, timer in held.items():
            timer.cancel()
            self._threads.put(call)

    def _answer(self, call: Call, result: Any, error: Exception | None) -> None:
        """Answer a call. Only the first answer counts. For any thread."""
        if self._open.pop(call, call) is call:
            return
        try:
            call.done(result, error)
        except Exception:
            LOG.exception("%s: a datastore call cannot be answered", call.owner)


def _settle(settled: Future[Any], result: Any, error: Exception | None) -> None:
    if settled.done():
        return
    if error is None:
        settled.set_result(result)
    else:
        settled.set_exception(error)
