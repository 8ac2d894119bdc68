"""StackStorm's exchanges, queues and routing keys."""

from __future__ import annotations

from dataclasses import dataclass

TRIGGER_INSTANCE = "trigger_instance"
CREATE, UPDATE, DELETE = "create", "update", "delete"

CONTAINERS = "st2sensor.container"
"""Routing key under which containers introduce themselves, on the exchange of sensors. StackStorm skips it: its
watchers handle the three keys above alone."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Names that start with one `[messaging] prefix`.

    :param feeds_stackstorm: whether the messages are for StackStorm, so that the rules engine's queue is declared.
    """

    prefix: str
    feeds_stackstorm: bool = True

    @property
    def dispatch(self) -> str:
        """Exchange of trigger instances."""
        return f"{self.prefix}.trigger_instances_dispatch"

    @property
    def rules_engine(self) -> str:
        """Durable queue of the rules engine, bound to `dispatch` with `#`."""
        return f"{self.dispatch}.rules_engine"

    @property
    def triggers(self) -> str:
        """Exchange of announcements about triggers."""
        return f"{self.prefix}.trigger"

    @property
    def sensors(self) -> str:
        """Exchange of announcements about sensors."""
        return f"{self.prefix}.sensor"

    @property
    def exchanges(self) -> tuple[str, str, str]:
        """Every exchange. All are durable topic exchanges."""
        return (self.dispatch, self.triggers, self.sensors)
