"""Takes events from a sensor's dispatch() to the outbox: finds their trigger types, and rejects those that do not fit.

An event that cannot be published is kept as a dead letter, with the reason, so that nothing is lost silently. As in
StackStorm, the sensor is not notified. The work done here does not depend on the payload: the sensor itself or a worker
process checks it. Meanwhile the events of one sensor keep their order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from st2sensor.dispatch.arrived import Arrived, Waiting
from st2sensor.dispatch.catalogue import Catalogue, name_of
from st2sensor.dispatch.checker import Checker
from st2sensor.dispatch.event import Event
from st2sensor.dispatch.limiting import Limiting
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import OutboxError
from st2sensor.logs.setup import of_sensor
from st2sensor.masking import masked
from st2sensor.models import CORE_PACK, TriggerType
from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import OnDone
from st2sensor.outbox.outbox import Outbox
from st2sensor.portable.payload import valid
from st2sensor.schemas import objection
from st2sensor.sharing.held_leases import Tenure, Unshared
from st2sensor.system.event_loop import Tasks, call_in_loop

LOG = logging.getLogger("st2sensor.dispatch")

LAST_CHECKS_TIMEOUT = 5.0
"""Seconds that `finish` waits for checks."""


class Dispatcher:
    """Dispatches for all sensors. For the supervisor's thread.

    :param traffic: counts dispatched events.
    :param validate: whether to keep invalid payloads out of the exchange; if not, they are published with a warning.
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
        self._limiting = Limiting()
        self._secrets: dict[str, frozenset[str]] = {}
        self._waiting: dict[str, deque[Waiting]] = {}
        """Waiting events by sensor. The first ones of each sensor are being checked."""
        self._tasks = Tasks()

    def limit(self, limits: Mapping[str, SensorLimits]) -> None:
        """Apply these limits to new events, by sensor, and to those that are held."""
        self._limiting.learn(limits)
        self._outbox.limit(limits)

    async def release(self, sensor: str | None, trigger_type: str | None) -> int:
        """Send held events now: the events of one sensor or of all, and of one type or of all. Return their number."""
        loop = asyncio.get_running_loop()
        freed: asyncio.Future[int] = loop.create_future()
        self._outbox.free(sensor, trigger_type, partial(call_in_loop, loop, freed.set_result))
        return await freed

    def conceal(self, sensor: str, secrets: frozenset[str]) -> None:
        """Mask the secrets of a sensor's configuration in reasons: a property's name may be one."""
        self._secrets[sensor] = secrets

    def readable(self, sensor: str, reason: str) -> str:
        """Return a reason in one line, with the sensor's secrets masked. From any thread."""
        return objection.bounded(masked(valid(reason), self._secrets.get(sensor, frozenset())))

    def type_of(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        """Return the type of a trigger, given by reference or by its fields; None if it is not registered."""
        return self._catalogue.type_of(trigger)

    def dispatch(self, sensor: str, event: Event, done: OnDone, known: TriggerType | None = None) -> None:
        """Dispatch an event.

        :param sensor: the reference of the sensor that dispatches, or `core` for the container itself.
        :param done: called once the event, or its dead letter, is on disk.
        :param known: the event's trigger type if the caller has just looked it up; None to look it up here.

        Raises LeaseLost, and UnicodeDecodeError for a payload that is not UTF-8.
        """
        self.dispatch_together(sensor, [(event, known)], done)

    def dispatch_together(self, sensor: str, events: Iterable[tuple[Event, TriggerType | None]], done: OnDone) -> None:
        """Dispatch events: no matter what happens, all are on disk or none. Events that do not fit become dead letters.

        :param events: at least one, each with its trigger type as for `dispatch`.
        :param done: called once all events and dead letters are on disk.

        Raises LeaseLost, and UnicodeDecodeError for a payload that is not UTF-8.
        """
        arrived = [self._arrived(sensor, event, known) for event, known in events]
        waiting = self._waiting.get(sensor)
        if waiting is not None:
            waiting.append(Waiting(arrived, done))
        elif any(map(self._is_due, arrived)):
            self._waiting[sensor] = deque([Waiting(arrived, done)])
            self._tasks.start(self._check_in_order(sensor, self._waiting[sensor]))
        else:
            self.submit([self._entry(sensor, item, item.problem, item.event.key) for item in arrived], done)

    def withdraw(self, sensor: str) -> None:
        """Drop the events of a stopping sensor that are waiting for their check; their dispatch() raises an error."""
        for waiting in self._waiting.get(sensor, ()):
            waiting.done(OutboxError(f"sensor {sensor} is stopping: the event is not dispatched"))
        self._waiting.get(sensor, deque()).clear()

    @property
    def has_room(self) -> bool:
        """Whether an event that is dispatched now would not wait."""
        return self._outbox.has_room

    def submit(self, entries: Sequence[Entry], done: OnDone) -> None:
        """Submit entries, which `entries` has made now or earlier, to the outbox: all are on disk or none."""
        for entry in entries:
            self._traffic.dispatched(entry)
        # A dead letter is not published, so it does not matter which container holds the sensor.
        needs_lease = any(entry.fence is not None and entry.reason is None for entry in entries)
        self._outbox.submit_together(entries, done, self._is_held if needs_lease else None)

    def adopted(self, entry: Entry, sensor: str) -> Entry:
        """Return an entry that was stored earlier, perhaps by another container, with this container's fence.

        :param sensor: the sensor that submits the entry. An entry of another sensor needs no lease.

        Raises LeaseLost.
        """
        return replace(entry, fence=self.fence_of(sensor) if entry.sensor == sensor else None)

    def fence_of(self, sensor: str) -> int | None:
        """Return the fence under which a sensor dispatches now; None if it needs none. Raises LeaseLost."""
        return None if sensor == CORE_PACK else self._tenure.fence_of(sensor)

    async def put(self, entries: Sequence[Entry]) -> None:
        """Put entries into the outbox, all or none. Return once they are on disk. Raises OutboxError and LeaseLost."""
        # Awaited without a name: an error's traceback holds this frame, which must not hold the future of the error.
        await self._submitted(entries)

    def _submitted(self, entries: Sequence[Entry]) -> asyncio.Future[None]:
        """Submit entries, and return a future that is done once they are on disk."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not settled.done():
                settled.set_result(None) if error is None else settled.set_exception(error)

        self.submit(entries, lambda error: call_in_loop(loop, settle, error))
        return settled

    async def entry(self, sensor: str, event: Event, known: TriggerType | None = None) -> Entry:
        """Return the outbox entry of an event, which may be a dead letter. Raises LeaseLost and UnicodeDecodeError.

        :param known: as in `dispatch`.
        """
        arrived = self._arrived(sensor, event, known)
        return self._entry(sensor, arrived, *await self._checked(sensor, arrived))

    def schema_for(
        self, sensor: str, trigger_type: TriggerType | None, known: Event | None = None
    ) -> dict[str, object] | None:
        """Return the `digest` and `program` with which a sensor can check payloads itself, and the paths of its `key`.

        :param known: an event, which says what the sensor knows.

        Returns None if the trigger is not registered, or if the sensor's knowledge is current.
        """
        if trigger_type is None:
            return None
        paths = self._limiting.paths(sensor, trigger_type.ref)
        if known is not None and known.schema == self._catalogue.digest_of(trigger_type) and known.is_keyed(paths):
            return None
        return {
            **({"key": list(paths)} if paths else {}),
            "digest": self._catalogue.digest_of(trigger_type),
            "program": self._catalogue.program_of(trigger_type),
        }

    async def finish(self) -> None:
        """Wait up to LAST_CHECKS_TIMEOUT for the checks of dispatched events, and withdraw the remaining events."""
        await self._tasks.wait(LAST_CHECKS_TIMEOUT)
        for sensor in list(self._waiting):
            self.withdraw(sensor)

    def _arrived(self, sensor: str, event: Event, known: TriggerType | None) -> Arrived:
        trigger_type = known or self._catalogue.type_of(event.trigger)
        if trigger_type is None and not self._validate:
            trigger_type = self._unchecked(sensor, event)
        return Arrived(
            event=event,
            body=event.body(),
            trigger_type=trigger_type,
            problem=self._checker.first_problem(event, trigger_type),
            fence=self.fence_of(sensor),
            at=time.time(),
            paths=() if trigger_type is None else self._limiting.paths(sensor, trigger_type.ref),
        )

    def _unchecked(self, sensor: str, event: Event) -> TriggerType | None:
        """Return a type without a schema in place of a refused one. Used if invalid payloads are published."""
        refusal = self._catalogue.refusal_of(event.trigger)
        if refusal is None:
            return None
        self._warn_published(sensor, event, f"its trigger type was refused: {refusal.error}")
        return TriggerType(pack=refusal.pack, name=refusal.name)

    def _warn_published(self, sensor: str, event: Event, reason: str) -> None:
        name, readable = _shown_name(event), self.readable(sensor, reason)
        LOG.warning("%s dispatched %s, published all the same: %s", sensor, name, readable, extra=of_sensor(sensor))

    def _is_held(self, entry: Entry) -> bool:
        return entry.reason is not None or self._tenure.is_held(entry.sensor, entry.fence)

    async def _check_in_order(self, sensor: str, waiting: deque[Waiting]) -> None:
        try:
            while waiting:
                first = waiting[0]
                checked = [(arrived, *await self._checked(sensor, arrived)) for arrived in first.events]
                # The events may have been withdrawn meanwhile.
                if waiting and waiting[0] is first:
                    waiting.popleft()
                    self.submit([self._entry(sensor, *item) for item in checked], first.done)
        except Exception as error:
            LOG.exception("%s: an event cannot be checked", sensor)
            while waiting:
                waiting.popleft().done(error)
        finally:
            del self._waiting[sensor]

    def _is_due(self, arrived: Arrived) -> bool:
        """Return whether the payload must still be checked."""
        trigger_type = arrived.trigger_type
        return (
            arrived.problem is None
            and trigger_type is not None
            and (self._checker.is_due(arrived.event, trigger_type) or not arrived.event.is_keyed(arrived.paths))
        )

    async def _checked(self, sensor: str, arrived: Arrived) -> tuple[str | None, str | None]:
        """Return why an event must not be published, or None, and its key, or None."""
        if arrived.trigger_type is None or not self._is_due(arrived):
            return arrived.problem, arrived.event.key
        problem, key = await self._checker.verdict(sensor, arrived.event, arrived.trigger_type, arrived.paths)
        if problem is None:
            return None, key
        if problem.is_final or self._validate:
            return problem.reason, key
        self._warn_published(sensor, arrived.event, problem.reason)
        return None, key

    def _entry(self, sensor: str, arrived: Arrived, reason: str | None, key: str | None) -> Entry:
        event, trigger_type = arrived.event, arrived.trigger_type
        name = _shown_name(event)
        if reason is not None:
            reason = self.readable(sensor, reason)
            LOG.warning("%s: %s", event.refusal(sensor, name), reason, extra=of_sensor(sensor))
        ref = name if trigger_type is None else trigger_type.ref
        return Entry(
            message_id=self._limiting.message_id(sensor, ref, key if reason is None else None, arrived.at),
            sensor=sensor,
            trigger=name,
            trigger_type=ref,
            created=arrived.at,
            body=arrived.body,
            tagged=event.tagged,
            reason=reason,
            fence=arrived.fence,
        )


def _shown_name(event: Event) -> str:
    """Return the name of the event's trigger as it is stored and logged; the trigger itself may be anything."""
    return objection.bounded(valid(name_of(event.trigger)))
