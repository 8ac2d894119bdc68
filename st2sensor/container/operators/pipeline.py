"""The parts that triggers go through, as the container and its reports see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.traffic import Traffic
from st2sensor.health import Health
from st2sensor.history.writer import Record
from st2sensor.models.limits import described
from st2sensor.outbox.outbox import Outbox
from st2sensor.reports import PushReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The path of triggers from dispatch() to the broker.

    :param broker: returns the health of the broker.
    :param held_back: returns the health of routing keys, which is bad while the broker refuses any.
    :param held_of: returns a text for each sensor whose triggers are waiting for that reason.
    :param unrouted_keys: returns the routing keys that no queue takes now.
    :param history: records events that leave the outbox.
    :param push: returns the state of the push targets.
    :param audience: returns whether the consumers of triggers can read the serializer.
    """

    dispatcher: Dispatcher
    traffic: Traffic
    outbox: Outbox
    broker: Callable[[], Health]
    held_back: Callable[[], Health]
    held_of: Callable[[], Mapping[str, str]]
    unrouted_keys: Callable[[], Sequence[str]]
    audience: Callable[[], Health]
    history: Record
    push: Callable[[], tuple[PushReport, ...]] = tuple

    def limited(self, ref: str, limits: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the part of a sensor's report that is about its limits."""
        counts = [item for (sensor, _), item in self.outbox.limited.items() if sensor == ref]
        return {
            "held": sum(item.held for item in counts),
            "duplicates": sum(item.duplicates for item in counts),
            "sampled_out": sum(item.sampled for item in counts),
            "limits": described(limits or {}),
        }
