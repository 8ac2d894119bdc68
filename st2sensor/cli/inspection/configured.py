"""Gaps in the configuration that a sensor would get if it started now."""

from __future__ import annotations

from contextlib import closing, suppress

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import St2SensorError
from st2sensor.packs.code.location import located
from st2sensor.packs.configuration import instance_source, pack_config
from st2sensor.packs.configuration.templates import FUNCTIONS, Templates
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.sensors import find
from st2sensor.workers.pool import Pool


def warnings(settings: Settings, ref: str) -> list[str]:
    """Return the warnings that a start of a sensor would log about its configuration.

    Return no warnings if the configuration cannot be read: the sensor's state already shows that.
    """
    with (
        suppress(St2SensorError),
        closing(open_storage(settings.database)) as storage,
        closing(Pool(FUNCTIONS)) as workers,
    ):
        storage.prepare()
        sensor = find(storage, ref)
        if sensor is None:
            return []
        code = located(sensor, settings.content)
        source = instance_source.load(sensor, settings.content, code.pack)
        templates = Templates.of(storage, Keyring(settings.key_values), settings.system_user, workers)
        return [] if source.is_empty else list(pack_config.render(source, templates).warnings)
    return []
