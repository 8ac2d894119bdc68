"""What wrappers are told to run, with their pack's configuration as the datastore completes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from st2sensor.container.launch import api_access
from st2sensor.container.launch.assignment import assignment_of, own_config
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import utc_now
from st2sensor.errors import DatastoreUnavailable, StorageUnavailable
from st2sensor.models import KeyValue, SensorType
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration.pack_config import SECRET_KEYS, Config
from st2sensor.packs.configuration.source import Source
from st2sensor.packs.configuration.templates import Lookup, Templates
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool

LOG = logging.getLogger("st2sensor.sessions")

THREADS = 2

CONFIG_TIMEOUT = 20.0
"""Seconds that rendering a configuration may take, with the database there."""

CONFIG_RETRY = 0.25
"""Seconds between looks for a database that is away."""


class Assignments:
    """For the loop's thread.

    :param blocking: runs what blocks on files elsewhere.
    :param workers: know what templates need.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        keyring: Keyring,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
        workers: Pool,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._keyring = keyring
        self._workers = workers
        # Of their own: whatever an operator has written must hold up no other file or call.
        self._threads = Threads(THREADS, "configurations")
        self._blocking = blocking
        self._seen: dict[tuple[str, str], KeyValue | None] = {}
        """What configurations have used, for starts while the database is away."""

    def close(self) -> None:
        """Render no more."""
        self._threads.shutdown(wait=False)

    async def of(self, sensor: SensorType) -> tuple[dict[str, Any], frozenset[str]]:
        """The wrapper protocol's form, and what of it is to be masked. Raises ContentError, ConfigError and
        DatastoreError."""
        assignment, source = await self._blocking(lambda: assignment_of(sensor, self._settings))
        token = await self._blocking(lambda: api_access.token_of(self._settings.container))
        found = Config(values={}) if source.is_empty else await self._config(sensor, source)
        for warning in found.warnings:
            LOG.warning("%s: %s", sensor.ref, warning)
        values = found.values | own_config(sensor, self._settings)
        secrets = found.secrets | ({token} if token else set())
        return assignment | {"config": values}, secrets if self._settings.log.mask_secrets else frozenset()

    async def _config(self, sensor: SensorType, source: Source) -> Config:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.datastore.timeout
        while True:
            try:
                return await self._rendered(sensor, source, self._look_up)
            except StorageUnavailable as exception:
                try:
                    found = await self._rendered(sensor, source, self._remembered)
                except DatastoreUnavailable:
                    # One that this container has never seen.
                    if loop.time() >= until:
                        raise
                else:
                    LOG.warning("%s: %s; its configuration is as the datastore was last seen", sensor.ref, exception)
                    return found
            await asyncio.sleep(CONFIG_RETRY)

    async def _rendered(self, sensor: SensorType, source: Source, lookup: Lookup) -> Config:
        templates = Templates(lookup, self._keyring.decrypt, self._settings.system_user, self._workers)
        secret_keys = SECRET_KEYS | self._settings.log.secret_keys
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: pack_config.render(source, templates, secret_keys)
        )
        try:
            return await asyncio.wait_for(work, CONFIG_TIMEOUT)
        except TimeoutError:
            raise source.error(
                f"{sensor.ref}: rendering the configuration took more than {CONFIG_TIMEOUT:g} s; "
                "simplify its expressions",
                (),
            ) from None

    def _look_up(self, scope: str, name: str) -> KeyValue | None:
        entry = self._seen[scope, name] = self._storage.get_value(scope, name, utc_now())
        return entry

    def _remembered(self, scope: str, name: str) -> KeyValue | None:
        try:
            return self._seen[scope, name]
        except KeyError:
            raise DatastoreUnavailable(f"the database is away, and the configuration needs {name} from it") from None
