"""From a sensor's dispatch() to the outbox: checks what is dispatched against what is registered. In the container.

What cannot be published is kept as a dead letter, with the reason: a sensor never hears of it, as in StackStorm, and
nothing is lost silently.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from st2sensor.catalogue import Catalogue, name_of
from st2sensor.logs import of_sensor
from st2sensor.models import CORE_PACK, TriggerInstance, TriggerType
from st2sensor.outbox import Done, Outbox
from st2sensor.outbox_file import Entry
from st2sensor.packs.config import masked
from st2sensor.payload import plain, valid
from st2sensor.sharing.holdings import Tenure, Unshared
from st2sensor.traffic import Traffic
from st2sensor.transport.codec import to_json

LOG = logging.getLogger(__name__)


class Dispatcher:
    """For the supervisor's thread.

    :param traffic: counts what is dispatched.
    :param tenure: says for which sensors this container may act.
    :param validate: keep invalid payloads out of the exchange; otherwise publish them with a warning.
    """

    def __init__(
        self,
        outbox: Outbox,
        catalogue: Catalogue,
        traffic: Traffic,
        *,
        validate: bool,
        tenure: Tenure | None = None,
    ) -> None:
        self._outbox = outbox
        self._catalogue = catalogue
        self._traffic = traffic
        self._validate = validate
        self._tenure = tenure or Unshared()
        self._secrets: dict[str, frozenset[str]] = {}

    def conceal(self, sensor: str, secrets: frozenset[str]) -> None:
        """What a sensor was told in confidence is masked where a reason quotes its payload."""
        self._secrets[sensor] = secrets

    def knows(self, trigger: str | Mapping[str, object]) -> bool:
        """Whether a dispatch of this trigger would find its type."""
        return self._catalogue.type_of(trigger) is not None

    def dispatch(self, sensor: str, instance: TriggerInstance, done: Done) -> None:
        """Put an instance on its way. Raises LeaseLost.

        :param done: told once the instance, or the dead letter, is on disk.
        """
        self.submit(self.entry(sensor, instance), done)

    @property
    def has_room(self) -> bool:
        """Whether what is dispatched now need not wait."""
        return self._outbox.has_room

    def submit(self, entry: Entry, done: Done) -> None:
        """Put an entry on its way that `entry` has made, now or before."""
        self._traffic.dispatched(entry)
        # A dead letter goes nowhere: whoever holds the sensor.
        needs_lease = entry.fence is not None and entry.reason is None
        self._outbox.submit(entry, done, self._is_held if needs_lease else None)

    def _is_held(self, entry: Entry) -> bool:
        return self._tenure.is_held(entry.sensor, entry.fence)

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

        def done(error: Exception | None) -> None:
            # A loop that has ended has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, error)

        self.submit(entry, done)
        await settled

    def problem(self, instance: TriggerInstance) -> str | None:
        """Why an instance whose payload is JSON must not be published, or None."""
        return self._catalogue.objection(instance, self._catalogue.type_of(instance.trigger))

    def entry(self, sensor: str, instance: TriggerInstance) -> Entry:
        """An instance as it goes into the outbox, or as a dead letter. Raises LeaseLost.

        :param sensor: the reference of the sensor that dispatches, or `core` for the container itself.
        """
        fence = self.fence_of(sensor)
        trigger_type = self._catalogue.type_of(instance.trigger)
        reason = self._objection(sensor, instance, trigger_type)
        name = name_of(instance.trigger)
        if reason is not None:
            reason = masked(valid(reason), self._secrets.get(sensor, frozenset()))
            said = of_sensor(sensor)
            LOG.warning("%s dispatched %s, which is kept as a dead letter: %s", sensor, name, reason, extra=said)
        return Entry(
            message_id=uuid.uuid4().hex,
            sensor=sensor,
            trigger=valid(name),
            trigger_type=valid(name) if trigger_type is None else trigger_type.ref,
            created=time.time(),
            body=to_json(instance),
            tagged=instance.tagged,
            reason=reason,
            fence=fence,
        )

    def _objection(self, sensor: str, instance: TriggerInstance, trigger_type: TriggerType | None) -> str | None:
        seen = replace(instance, payload=plain(instance.payload), tagged=False) if instance.tagged else instance
        problem = self._catalogue.objection(seen, trigger_type)
        if problem is None or self._validate or trigger_type is None or not isinstance(seen.payload, dict):
            return problem
        name = name_of(instance.trigger)
        LOG.warning("%s dispatched %s, published all the same: %s", sensor, name, problem, extra=of_sensor(sensor))
        return None
