"""What wrappers are told to run, with their pack's configuration as the datastore completes it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from st2sensor.container.assignment import assignment_of, source_of
from st2sensor.container.storing import Storing
from st2sensor.datastore import utc_now
from st2sensor.errors import DatastoreUnavailable
from st2sensor.keyring import Keyring
from st2sensor.models import KeyValue, SensorType
from st2sensor.packs import config
from st2sensor.packs.config import SECRET_KEYS, Config, Source
from st2sensor.packs.templates import Lookup, Templates
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage

LOG = logging.getLogger(__name__)


class Assignments:
    """For the loop's thread.

    :param blocking: runs what blocks on files elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        keyring: Keyring,
        storing: Storing,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._keyring = keyring
        self._storing = storing
        self._blocking = blocking
        self._seen: dict[tuple[str, str], KeyValue | None] = {}
        """What configurations have used, for starts while the database is away."""

    async def of(self, sensor: SensorType) -> tuple[dict[str, Any], frozenset[str]]:
        """The wrapper protocol's form, and what of it is to be masked. Raises ContentError and DatastoreError."""
        found = await self._config(sensor)
        for warning in found.warnings:
            LOG.warning("%s: %s", sensor.ref, warning)
        assignment = await self._blocking(lambda: assignment_of(sensor, self._settings, found.values))
        return assignment, found.secrets if self._settings.log.mask_secrets else frozenset()

    async def _config(self, sensor: SensorType) -> Config:
        source = await self._blocking(lambda: source_of(sensor, self._settings.content))
        if not source.is_dynamic:
            return self._rendered(source, self._remembered)
        try:
            return await self._storing.run(
                sensor.ref, lambda: self._rendered(source, self._look_up), patient=not self._seen
            )
        except DatastoreUnavailable as exception:
            LOG.warning("%s: %s; its configuration is as the datastore was last seen", sensor.ref, exception)
            return self._rendered(source, self._remembered)

    def _rendered(self, source: Source, lookup: Lookup) -> Config:
        templates = Templates(lookup, self._keyring.decrypt, self._settings.system_user)
        return config.render(source, templates, SECRET_KEYS | self._settings.log.secret_keys)

    def _look_up(self, scope: str, name: str) -> KeyValue | None:
        entry = self._seen[scope, name] = self._storage.get_value(scope, name, utc_now())
        return entry

    def _remembered(self, scope: str, name: str) -> KeyValue | None:
        try:
            return self._seen[scope, name]
        except KeyError:
            raise DatastoreUnavailable(f"the database is away, and the configuration needs {name} from it") from None
