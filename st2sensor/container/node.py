"""The node as wrapper protocol methods see it: what a sensor runs, what it may do, and whether it is stopping."""

from __future__ import annotations

import logging
from typing import Any

from st2sensor.container.desired.refresh import Refresh
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.targets import Targets
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import event_of
from st2sensor.errors import SensorNotFound
from st2sensor.models import CORE_PACK, Trigger, TriggerInstance
from st2sensor.portable.keyspace import Asker
from st2sensor.settings import Datastore
from st2sensor.sharing.held_leases import Tenure

LOG = logging.getLogger("st2sensor.container")

ALLOW = "allow"


class Node:
    """For the loop's thread, except `is_stopping`.

    :param is_shared: whether several containers share the sensors.
    """

    def __init__(
        self,
        settings: Datastore,
        lifetime: Lifetime,
        targets: Targets,
        table: ChildTable,
        refresh: Refresh,
        assignments: Assignments,
        catalogue: Catalogue,
        dispatcher: Dispatcher,
        tenure: Tenure,
        *,
        is_shared: bool,
    ) -> None:
        self._settings = settings
        self._lifetime = lifetime
        self._targets = targets
        self._table = table
        self._refresh = refresh
        self._assignments = assignments
        self._catalogue = catalogue
        self._dispatcher = dispatcher
        self._tenure = tenure
        self._is_shared = is_shared

    async def assignment(self, ref: str) -> dict[str, Any]:
        """Return the assignment of a sensor for its wrapper. Raises SensorNotFound, LeaseLost, ContentError,
        SecretError and DatastoreError.
        """
        sensor = self._targets.sensor(ref)
        if sensor is None:
            raise SensorNotFound(f"sensor {ref} is not registered any more")
        assignment, secrets = await self._assignments.of(sensor)
        self._table.conceal(ref, secrets)
        self._dispatcher.conceal(ref, secrets)
        # Both may have changed while the configuration was rendered.
        fence = self._tenure.fence_of(ref)
        return assignment | {"log_level": self._table.log_level(ref), "fence": fence}

    def may_have_batches(self, ref: str) -> bool:
        """Return whether a sensor may have unfinished batches, begun here or in its last container."""
        snapshot = self._targets.snapshot
        if snapshot is None or ref not in snapshot.sensors:
            return False
        return self._is_shared or snapshot.may_have_batches(ref)

    def triggers_of(self, ref: str) -> list[Trigger]:
        """Return the triggers that a sensor should be notified of."""
        return self._targets.triggers_of(ref)

    async def refresh(self) -> None:
        """Read storage now."""
        await self._refresh.now()

    def asker(self, ref: str) -> Asker:
        """Return a sensor with its permissions in the datastore."""
        overrides = self._table.overrides[ref]
        return Asker(
            sensor=ref,
            writes_global=(overrides.global_write or self._settings.global_write) == ALLOW,
            decrypts_global=(overrides.decrypt_global or self._settings.decrypt_global) == ALLOW,
        )

    def is_stopping(self, ref: str) -> bool:
        """Whether a sensor has been asked to stop, or the container is stopping. For any thread."""
        return self._lifetime.is_stopping or self._table.is_stopping(ref)

    def emit(self, trigger: str, payload: dict[str, Any]) -> None:
        """Dispatch one of the container's own triggers, if its type is registered."""
        trigger_type = self._catalogue.type_of(trigger)
        if trigger_type is not None:
            # The container makes these payloads itself, so they fit the schema.
            digest = self._catalogue.digest_of(trigger_type)
            event = event_of(TriggerInstance(trigger=trigger, payload=payload), schema=digest)
            self._dispatcher.dispatch(CORE_PACK, event, _log_failure)


def _log_failure(error: Exception | None) -> None:
    if error is not None:
        LOG.error("%s", error)
