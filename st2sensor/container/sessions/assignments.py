"""Makes assignments: the sensor that a wrapper runs, with its pack's configuration rendered from the datastore and from
other sources of secrets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from st2sensor.container.launch import api_access
from st2sensor.container.launch.assignment import assignment_of, own_config
from st2sensor.container.sessions.secret_watch import SecretWatch
from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import DatastoreUnavailable, StorageUnavailable
from st2sensor.models import KeyValue, SensorType
from st2sensor.packs.configuration import pack_config
from st2sensor.packs.configuration.pack_config import SECRET_KEYS, Config
from st2sensor.packs.configuration.source import Source
from st2sensor.packs.configuration.templates import Lookup, Templates
from st2sensor.portable.isotime import utc_now
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool

LOG = logging.getLogger("st2sensor.sessions")

MOST_RENDERINGS = 2
"""Maximum number of configurations that are rendered at a time."""

CONFIG_TIMEOUT = 20.0
"""Maximum number of seconds that rendering a configuration may take while the database answers."""

CONFIG_RETRY = 0.25
"""Seconds between two attempts while the database is unreachable."""


class Assignments:
    """For the loop's thread.

    :param blocking: runs a call that blocks on files in another thread.
    :param workers: processes that evaluate templates.
    :param secrets: reads the secrets that `secret()` names.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        keyring: Keyring,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
        workers: Pool,
        secrets: SecretWatch,
    ) -> None:
        self._secrets = secrets
        self._settings = settings
        self._storage = storage
        self._keyring = keyring
        self._workers = workers
        # Rendering has its own threads, so that a slow template delays no other file or call.
        self._threads = Threads(MOST_RENDERINGS, "configurations")
        self._blocking = blocking
        self._entries: dict[tuple[str, str], KeyValue | None] = {}
        """Datastore entries that configurations have used, for starts while the database is unreachable."""

    def close(self) -> None:
        """Stop rendering, and reading secrets. Does not wait."""
        self._secrets.close()
        self._threads.shutdown(wait=False)

    async def of(self, sensor: SensorType) -> tuple[dict[str, Any], frozenset[str]]:
        """Return a sensor's assignment in the wrapper protocol's form, and the secrets in it, which must be masked.

        Raises ContentError, ConfigError, SecretError and DatastoreError.
        """
        (assignment, source), token = await self._blocking(
            lambda: (assignment_of(sensor, self._settings), api_access.token_of(self._settings.container))
        )
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
                    # The configuration uses an entry that this container has never read.
                    if loop.time() >= until:
                        raise
                else:
                    LOG.warning(
                        "%s: %s; its configuration uses the values last read from the datastore", sensor.ref, exception
                    )
                    return found
            await asyncio.sleep(CONFIG_RETRY)

    async def _rendered(self, sensor: SensorType, source: Source, lookup: Lookup) -> Config:
        uses = self._secrets.uses()
        user = self._settings.system_user
        templates = Templates(lookup, self._keyring.decrypt, user, self._workers, uses.read)
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
        finally:
            self._secrets.note(sensor.ref, uses)

    def _look_up(self, scope: str, name: str) -> KeyValue | None:
        entry = self._entries[scope, name] = self._storage.get_value(scope, name, utc_now())
        return entry

    def _remembered(self, scope: str, name: str) -> KeyValue | None:
        try:
            return self._entries[scope, name]
        except KeyError:
            raise DatastoreUnavailable(f"the database is away, and the configuration needs {name} from it") from None
