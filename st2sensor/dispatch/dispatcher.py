"""From a sensor's dispatch() to the outbox: finds the type of what is dispatched, and keeps out what does not fit it.

What cannot be published is kept as a dead letter, with the reason: a sensor never hears of it, as in StackStorm, and
nothing is lost silently. The work done here does not depend on what is in a payload: checks are done by the sensor
itself, or in worker processes. The events of one sensor keep their order meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace

from st2sensor.dispatch.catalogue import Catalogue, name_of
from st2sensor.dispatch.checker import Checker
from st2sensor.dispatch.event import Event
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import OutboxError
from st2sensor.logs.setup import of_sensor
from st2sensor.masking import masked
from st2sensor.models import CORE_PACK, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import OnDone
from st2sensor.outbox.outbox import Outbox
from st2sensor.portable.payload import valid
from st2sensor.schemas import objection
from st2sensor.sharing.held_leases import Tenure, Unshared
from st2sensor.system.loops import call_in_loop

LOG = logging.getLogger("st2sensor.dispatch")

LAST_CHECKS = 5.0
"""Seconds that the end of the container waits for checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    """An event that waits until those before it are checked.

    :ivar body: its JSON form.
    :ivar problem: what is wrong with it as far as was told without looking into its payload, or None.
    :ivar fence: under which it was dispatched; `at`: when, in seconds since the epoch.
    """

    event: Event
    body: str
    trigger_type: TriggerType | None
    problem: str | None
    fence: int | None
    at: float
    done: OnDone


class Dispatcher:
    """For the supervisor's thread.

    :param traffic: counts what is dispatched.
    :param validate: keep invalid payloads out of the exchange; otherwise publish them with a warning.
    :param tenure: says for which sensors this container may act.
    """

    def __init__(
        self,
        outbox: Outbox,
        catalogue: Catalogue,
        traffic: Traffic,
        checker: Checker,
        *,
        validate: bool,
        tenure: Tenure | None = None,
    ) -> None:
        self._outbox = outbox
        self._catalogue = catalogue
        self._traffic = traffic
        self._checker = checker
        self._validate = validate
        self._tenure = tenure or Unshared()
        self._secrets: dict[str, frozenset[str]] = {}
        self._waiting: dict[str, deque[_Arrived]] = {}
        """Events by sensor, the first of which is being checked."""
        self._tasks: set[asyncio.Task[None]] = set()

    def conceal(self, sensor: str, secrets: frozenset[str]) -> None:
        """What a sensor was told in confidence is masked where a reason names a property by it."""
        self._secrets[sensor] = secrets

    def readable(self, sensor: str, reason: str) -> str:
        """A reason as it may be told, without the secrets that a sensor was told. For any thread."""
        return objection.bounded(masked(valid(reason), self._secrets.get(sensor, frozenset())))

    def knows(self, trigger: str | Mapping[str, object]) -> bool:
        """Whether a dispatch of this trigger would find its type."""
        return self._catalogue.type_of(trigger) is not None

    def dispatch(self, sensor: str, event: Event, done: OnDone) -> None:
        """Put an event on its way. Raises LeaseLost, and UnicodeDecodeError for a payload that is no text.

        :param sensor: the reference of the sensor that dispatches, or `core` for the container itself.
        :param done: told once the event, or the dead letter, is on disk.
        """
        arrived = self._arrived(sensor, event, done)
        waiting = self._waiting.get(sensor)
        if waiting is not None:
            waiting.append(arrived)
        elif self._is_due(arrived):
            self._waiting[sensor] = deque([arrived])
            self._spawn(self._check_in_order(sensor, self._waiting[sensor]))
        else:
            self.submit(self._entry(sensor, arrived, arrived.problem), done)

    def withdraw(self, sensor: str) -> None:
        """A sensor stops: what waits to be checked is not sent, and dispatch() raises."""
        for arrived in self._waiting.get(sensor, ()):
            arrived.done(OutboxError(f"sensor {sensor} stops: the event is not dispatched"))
        self._waiting.get(sensor, deque()).clear()

    @property
    def has_room(self) -> bool:
        """Whether what is dispatched now need not wait."""
        return self._outbox.has_room

    def submit(self, entry: Entry, done: OnDone) -> None:
        """Put an entry on its way that `entry` has made, now or before."""
        self._traffic.dispatched(entry)
        # A dead letter goes nowhere: whoever holds the sensor.
        needs_lease = entry.fence is not None and entry.reason is None
        self._outbox.submit(entry, done, self._is_held if needs_lease else None)

    def adopted(self, entry: Entry, sensor: str) -> Entry:
        """An entry that was stored earlier, by another container perhaps, as it is put on its way from here.

        :param sensor: for which that is done; one that it does not belong to needs no lease for it.

        Raises LeaseLost.
        """
        return replace(entry, fence=self.fence_of(sensor) if entry.sensor == sensor else None)

    def fence_of(self, sensor: str) -> int | None:
        """The fence under which a sensor dispatches now; None where it needs none. Raises LeaseLost."""
        return None if sensor == CORE_PACK else self._tenure.fence_of(sensor)

    async def put(self, entry: Entry) -> None:
        """Put an entry into the outbox, and wait until it is on disk. Raises OutboxError and LeaseLost."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not settled.done():
                settled.set_result(None) if error is None else settled.set_exception(error)

        self.submit(entry, lambda error: call_in_loop(loop, settle, error))
        await settled

    async def entry(self, sensor: str, event: Event) -> Entry:
        """An event as it goes into the outbox, or as a dead letter. Raises LeaseLost and UnicodeDecodeError."""
        arrived = self._arrived(sensor, event, _unheard)
        return self._entry(sensor, arrived, await self._reason(sensor, arrived))

    def schema_for(self, trigger: str | Mapping[str, object], known: str | None = None) -> dict[str, str | None] | None:
        """What a sensor needs to check a trigger's payloads itself: `digest` and `program`.

        None for a trigger that is not registered, and where the sensor knows this digest.
        """
        trigger_type = self._catalogue.type_of(trigger)
        if trigger_type is None or self._catalogue.digest_of(trigger_type) == known:
            return None
        return {
            "digest": self._catalogue.digest_of(trigger_type),
            "program": self._catalogue.program_of(trigger_type),
        }

    async def finish(self) -> None:
        """Wait until what was dispatched is checked, as long as that may take at the end; the rest is withdrawn."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_CHECKS)
        for sensor in list(self._waiting):
            self.withdraw(sensor)

    def _arrived(self, sensor: str, event: Event, done: OnDone) -> _Arrived:
        trigger_type = self._catalogue.type_of(event.trigger)
        if trigger_type is None and not self._validate:
            trigger_type = self._unchecked(sensor, event)
        return _Arrived(
            event=event,
            body=event.body(),
            trigger_type=trigger_type,
            problem=self._checker.first_problem(event, trigger_type),
            fence=self.fence_of(sensor),
            at=time.time(),
            done=done,
        )

    def _unchecked(self, sensor: str, event: Event) -> TriggerType | None:
        """A type without a schema in place of one that was refused, where payloads are published that break theirs."""
        refusal = self._catalogue.refusal_of(event.trigger)
        if refusal is None:
            return None
        self._published_all_the_same(sensor, event, f"its trigger type was refused: {refusal.error}")
        return TriggerType(pack=refusal.pack, name=refusal.name)

    def _published_all_the_same(self, sensor: str, event: Event, reason: str) -> None:
        name, readable = _shown_name(event), self.readable(sensor, reason)
        LOG.warning("%s dispatched %s, published all the same: %s", sensor, name, readable, extra=of_sensor(sensor))

    def _is_held(self, entry: Entry) -> bool:
        return self._tenure.is_held(entry.sensor, entry.fence)

    async def _check_in_order(self, sensor: str, waiting: deque[_Arrived]) -> None:
        try:
            while waiting:
                arrived = waiting[0]
                reason = await self._reason(sensor, arrived)
                # It may have been withdrawn meanwhile.
                if waiting and waiting[0] is arrived:
                    waiting.popleft()
                    self.submit(self._entry(sensor, arrived, reason), arrived.done)
        except Exception as error:
            LOG.exception("%s: an event cannot be checked", sensor)
            while waiting:
                waiting.popleft().done(error)
        finally:
            del self._waiting[sensor]

    def _is_due(self, arrived: _Arrived) -> bool:
        trigger_type = arrived.trigger_type
        return (
            arrived.problem is None and trigger_type is not None and self._checker.is_due(arrived.event, trigger_type)
        )

    async def _reason(self, sensor: str, arrived: _Arrived) -> str | None:
        """Why an event must not be published, or None."""
        if arrived.trigger_type is None or not self._is_due(arrived):
            return arrived.problem
        problem = await self._checker.problem(sensor, arrived.event, arrived.trigger_type)
        if problem is None:
            return None
        if problem.is_final or self._validate:
            return problem.reason
        self._published_all_the_same(sensor, arrived.event, problem.reason)
        return None

    def _entry(self, sensor: str, arrived: _Arrived, reason: str | None) -> Entry:
        event, trigger_type = arrived.event, arrived.trigger_type
        name = _shown_name(event)
        if reason is not None:
            reason = self.readable(sensor, reason)
            said = of_sensor(sensor)
            LOG.warning("%s dispatched %s, which is kept as a dead letter: %s", sensor, name, reason, extra=said)
        return Entry(
            message_id=uuid.uuid4().hex,
            sensor=sensor,
            trigger=name,
            trigger_type=name if trigger_type is None else trigger_type.ref,
            created=arrived.at,
            body=arrived.body,
            tagged=event.tagged,
            reason=reason,
            fence=arrived.fence,
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _shown_name(event: Event) -> str:
    """Its trigger's name, which may be anything, as it is kept and told."""
    return objection.bounded(valid(name_of(event.trigger)))


def _unheard(error: Exception | None) -> None:
    """Nobody waits."""
