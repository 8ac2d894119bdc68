"""The bundled pack, and StackStorm's own trigger types (`core.st2.*`), which are always registered."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml

from st2sensor.models import CORE_PACK, Pack, Registration, SensorType, TriggerType

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads our own file. It needs no line numbers, so libyaml, where PyYAML has it, takes a tenth of the time."""

BUNDLED = Pack(ref=CORE_PACK, path=Path(__file__).parent.parent / "core_pack")
"""The pack with the sensors for these types. StackStorm has a pack of the same name, without sensors."""


def is_bundled(sensor: SensorType | Registration) -> bool:
    """Return whether a sensor is bundled, and so runs with the container's own interpreter and libraries."""
    return sensor.pack == CORE_PACK and (BUNDLED.path / (sensor.metadata_file or CORE_PACK)).is_file()


def core_trigger_types() -> list[TriggerType]:
    """Return all internal, webhook and timer trigger types."""
    text = resources.files("st2sensor.packs").joinpath("core_triggers.yaml").read_text(encoding="utf-8")
    declared = yaml.load(text, Loader=LOADER)
    return [
        TriggerType(
            pack=CORE_PACK,
            name=item["name"],
            description=item["description"],
            tags=tuple(item["tags"]),
            payload_schema=item["payload_schema"],
            parameters_schema=item["parameters_schema"],
        )
        for item in declared
    ]
