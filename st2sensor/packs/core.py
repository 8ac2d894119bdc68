"""StackStorm's own trigger types (`core.st2.*`), which are registered whatever packs there are."""

from __future__ import annotations

from importlib import resources

from st2sensor.models import CORE_PACK, TriggerType
from st2sensor.packs.files import read


def core_trigger_types() -> list[TriggerType]:
    """Every internal, webhook and timer trigger type."""
    with resources.as_file(resources.files("st2sensor.packs").joinpath("core_triggers.yaml")) as path:
        declared = read(path).data
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
