"""Sensors that stay registered though their pack is gone from this host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from st2sensor.models import SensorType
from st2sensor.packs.code.location import located
from st2sensor.settings import Content

NAMED = 3
"""Sensors that a warning names."""


def vanished(sensors: Iterable[SensorType], content: Content) -> Iterator[str]:
    """What to say of sensors without code on this host, a line for each pack."""
    gone = sorted((sensor for sensor in sensors if not located(sensor, content).file.is_file()), key=lambda it: it.ref)
    for pack, found in groupby(gone, key=lambda sensor: sensor.pack):
        refs = [sensor.ref for sensor in found]
        more = f" and {len(refs) - NAMED} more" if len(refs) > NAMED else ""
        yield (
            f"pack {pack} is not on this host, and {', '.join(refs[:NAMED])}{more} stay registered: put the pack back, "
            "or unregister what is gone with st2ctl reload --prune"
        )
