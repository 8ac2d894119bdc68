"""The limits of all sensors, as the dispatcher needs them: which values make the key of an event, and the message_id
that follows from it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from hashlib import sha1
from json.encoder import encode_basestring_ascii as quoted

from st2sensor.dispatch.message_id import message_id as new_id
from st2sensor.models.limits import UNLIMITED, Limits, SensorLimits
from st2sensor.portable.event_key import is_key

NAMESPACE = uuid.UUID("5d2f1a52-7f0c-5b8e-9d2a-3e64c1b7a9f4")
"""The namespace of message_ids that follow from a key (RFC 4122, version 5)."""


class Limiting:
    """For the loop's thread."""

    def __init__(self) -> None:
        self._limits: Mapping[str, SensorLimits] = {}

    def learn(self, limits: Mapping[str, SensorLimits]) -> None:
        """Replace the limits, by sensor."""
        self._limits = limits

    def of(self, sensor: str, trigger_type: str) -> Limits:
        """Return the limits of a sensor's events of one type."""
        found = self._limits.get(sensor)
        return UNLIMITED if found is None else found.of(trigger_type)

    def paths(self, sensor: str, trigger_type: str) -> Sequence[str]:
        """Return the paths of the values that make a key; empty if events are not compared."""
        return self.of(sensor, trigger_type).key if self._limits else ()

    def message_id(self, sensor: str, trigger_type: str, key: str | None, created: float) -> str:
        """Return the message_id of an event: a random one, unless it has a key of its sensor's current limits."""
        limits = self.of(sensor, trigger_type) if key is not None else UNLIMITED
        if not limits.key or not is_key(key, limits.key):
            return new_id(created)
        return message_id_of(sensor, trigger_type, str(key), limits.window, created)


def message_id_of(sensor: str, trigger_type: str, key: str, window: float, created: float) -> str:
    """Return the same message_id for all events with one key in one window. Windows follow each other without gaps.
    They begin at a time that depends on the key, so that they do not all end together.

    :param window: seconds; `created`: the time of dispatch, in seconds since the epoch.
    """
    offset = _spread(key) * window
    start = math.floor((created - offset) / window) * window + offset
    # The name is a list in JSON. This does what json.dumps and uuid.uuid5 do, in a third of the time.
    name = f"[{quoted(sensor)}, {quoted(trigger_type)}, {quoted(key)}, {round(start, 3)!r}]"
    digest = bytearray(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def _spread(key: str) -> float:
    """Return a number from -1 to 1 that depends on a key."""
    try:
        return int(key[-8:], 16) / 2**32
    except ValueError:
        return 0.0
