"""Tells running containers, StackStorm's included, that something in storage has changed."""

from __future__ import annotations

from st2sensor.models import SensorType, Trigger, TriggerType
from st2sensor.transport.base import COMMAND, Message, Transport
from st2sensor.transport.codec import announcement
from st2sensor.transport.topology import Topology


class Announcements:
    """Collects announcements while content is registered, and sends them at the end."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._messages: list[Message] = []

    def add(self, entity: SensorType | TriggerType | Trigger, event: str) -> None:
        """:param event: `create`, `update` or `delete`."""
        exchange = self._topology.sensors if isinstance(entity, SensorType) else self._topology.triggers
        self._messages.append(announcement(exchange, event, {"ref": entity.ref, "uid": entity.uid}))

    def send(self, transport: Transport) -> None:
        """Publish what was collected. Raises BrokerUnavailable; containers then find out at their next resync."""
        if not self._messages:
            return
        publisher = transport.publisher(COMMAND)
        try:
            publisher.connect()
            publisher.publish(self._messages)
        finally:
            publisher.close()
        self._messages.clear()
