"""The assignment of a wrapper: the container's answer when the wrapper asks for its sensor. Blocks on files only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from st2sensor.models import SensorType
from st2sensor.packs.bundled import is_bundled
from st2sensor.packs.code.location import code_of
from st2sensor.packs.configuration import instance_source
from st2sensor.packs.configuration.source import Source
from st2sensor.settings import Settings


def assignment_of(sensor: SensorType, settings: Settings) -> tuple[dict[str, Any], Source]:
    """Return the assignment in the wrapper protocol's form, without `config`, and the source of that configuration.

    Raises ContentError.
    """
    code = code_of(sensor, settings.content)
    assignment = {
        "ref": sensor.ref,
        "pack": sensor.pack,
        "code": code.for_wrapper(),
        "poll_interval": sensor.poll_interval or None,
    }
    return assignment, instance_source.load(sensor, settings.content, code.pack)


def own_config(sensor: SensorType, settings: Settings) -> dict[str, Any]:
    """Return the sections of st2.conf that sensors of the bundled pack `core` get in addition to its configuration."""
    if not is_bundled(sensor):
        return {}
    return {"webhooks": asdict(settings.webhooks), "timers": asdict(settings.timers)}
