"""The configuration of a sensor: the pack's configuration and, for an instance, the instance's values on top."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from st2sensor.models import SensorType
from st2sensor.packs import instances
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.source import Layer, Source
from st2sensor.settings import Content


def load(sensor: SensorType, content: Content, folder: Path) -> Source:
    """Read the configuration of a sensor as it runs. Raises ContentError.

    :param folder: the pack's folder.
    """
    source = pack_source.load(content.configs_path, sensor.pack, folder)
    found = instances.config_in(content.instances_path, sensor)
    if found is None:
        return source
    path, (of_class, name), values = found
    return replace(source, layer=Layer(path=path, place=(of_class, name, instances.CONFIG), values=values))
