"""Masks secrets in payloads that are shown. Events that are replayed or consumed are never masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import SecretError, St2SensorError, StorageError
from st2sensor.history.event import Recorded
from st2sensor.masking import MASK, masked
from st2sensor.models import SensorType, TriggerType, class_of
from st2sensor.packs.code.location import located
from st2sensor.packs.configuration import instance_source, pack_config
from st2sensor.packs.configuration.pack_config import SECRET_KEYS
from st2sensor.packs.configuration.templates import FUNCTIONS, Templates
from st2sensor.secrets.call import call_of
from st2sensor.secrets.sources import SecretSources
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage
from st2sensor.storage.sensors import find
from st2sensor.workers.pool import Pool


class Masks:
    """Masks the properties that a trigger type's schema marks with `secret: true`, values of keys such as `password`,
    and the secrets in the configuration of the sensor's pack.

    :param settings: if `[log] mask_secrets` is false, nothing is masked.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schemas: Mapping[str, Mapping[str, Any]] | None = None
        self._secrets: dict[str, frozenset[str]] = {}

    def payload(self, event: Recorded) -> Any:
        """Return an event's payload as it may be shown; None if it was not kept, or cannot be read.

        If the database or the source of a secret cannot be read, the secrets are unknown, so the whole payload is
        masked.
        """
        try:
            payload = event.payload
        except (ValueError, RecursionError):
            return None
        if payload is None or not self._settings.log.mask_secrets:
            return payload
        try:
            schema = self._schema(event.trigger_type)
            secrets = self._secrets_of(event.sensor)
        except (StorageError, SecretError):
            return MASK
        shown = _shown(payload, schema, SECRET_KEYS | self._settings.log.secret_keys)
        return json.loads(masked(json.dumps(shown, ensure_ascii=False), secrets)) if secrets else shown

    def _schema(self, trigger_type: str) -> Mapping[str, Any]:
        if self._schemas is None:
            with closing(open_storage(self._settings.database)) as storage:
                storage.prepare()
                self._schemas = {item.ref: item.payload_schema or {} for item in storage.all(TriggerType)}
        return self._schemas.get(trigger_type, {})

    def _secrets_of(self, sensor: str) -> frozenset[str]:
        """Return the secrets in the configuration of a sensor, as they appear in JSON text."""
        if sensor not in self._secrets:
            with closing(open_storage(self._settings.database)) as storage, closing(Pool(FUNCTIONS)) as workers:
                storage.prepare()
                self._secrets[sensor] = frozenset(
                    json.dumps(secret, ensure_ascii=False)[1:-1] for secret in self._read(sensor, storage, workers)
                )
        return self._secrets[sensor]

    def _read(self, sensor: str, storage: Storage, workers: Pool) -> frozenset[str]:
        """Return the secrets; none if the configuration cannot be read, because then the sensor cannot read it either.

        Raises SecretError if a secret that `secret()` names cannot be read here.
        """
        failures: list[SecretError] = []
        sources = SecretSources(self._settings.secrets, self._settings.container.private_environment)

        def read_secret(arguments: Sequence[object]) -> str:
            try:
                return sources.read(call_of(arguments))
            except SecretError as error:
                failures.append(error)
                raise

        with closing(sources), suppress(St2SensorError):
            # A class that has instances now may have run by itself before.
            known = find(storage, sensor) or storage.get(SensorType, class_of(sensor))
            if known is None:
                return frozenset()
            code = located(known, self._settings.content)
            source = instance_source.load(known, self._settings.content, code.pack)
            keyring, user = Keyring(self._settings.key_values), self._settings.system_user
            templates = Templates.of(storage, keyring, user, workers, read_secret)
            if not source.is_empty:
                return pack_config.render(source, templates).secrets
        if failures:
            raise failures[0]
        return frozenset()


def _shown(value: Any, schema: Any, keys: frozenset[str]) -> Any:
    """Return a value in which the parts are masked that are secret by its schema or by their keys."""
    schema = schema if isinstance(schema, Mapping) else {}
    if schema.get("secret") is True and value is not None:
        return MASK
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        return {
            key: MASK if key in keys and part is not None else _shown(part, properties.get(key), keys)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_shown(part, schema.get("items"), keys) for part in value]
    return value
