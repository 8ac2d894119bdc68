"""Announces changes in storage to running containers and to StackStorm's services."""

from __future__ import annotations

from urllib.parse import urlsplit

from st2sensor.models import SensorType, Trigger, TriggerType
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.storage.documents import COLLECTIONS, changes
from st2sensor.transport.base import COMMAND, Message, Transport
from st2sensor.transport.codec import announcement, database_announcement
from st2sensor.transport.topology import UPDATE, Topology

CLASSES = {
    SensorType: ("st2common.models.db.sensor", "SensorTypeDB"),
    Trigger: ("st2common.models.db.trigger", "TriggerDB"),
}
"""Module and name of the classes that StackStorm announces."""


class Announcements:
    """Collects announcements while content is registered, and sends them at the end.

    :param for_stackstorm: whether StackStorm's services may listen. They accept only pickled objects of their own
        database, and log an error for anything else.
    """

    def __init__(self, topology: Topology, *, for_stackstorm: bool = False) -> None:
        self._topology = topology
        self._for_stackstorm = for_stackstorm
        self._messages: list[Message] = []

    @classmethod
    def of(cls, settings: Settings) -> Announcements:
        """Return announcements for some settings. StackStorm can only listen with pickle and MongoDB."""
        is_mongo = urlsplit(settings.database.url).scheme.startswith("mongodb")
        return cls(
            Topology(settings.messaging.prefix), for_stackstorm=is_mongo and settings.messaging.serializer == "pickle"
        )

    def add(self, entity: SensorType | Trigger, event: str, storage: Storage) -> None:
        """Announce an entity that has just been stored or deleted.

        :param event: `create`, `update` or `delete`.
        """
        exchange = self._topology.sensors if isinstance(entity, SensorType) else self._topology.triggers
        if not self._for_stackstorm:
            self._messages.append(announcement(exchange, event, {"ref": entity.ref, "uid": entity.uid}))
            return
        module, name = CLASSES[type(entity)]
        current = storage.get(type(entity), entity.ref) or entity
        document, _ = changes(COLLECTIONS[type(entity)].to_document(current))
        self._messages.append(
            database_announcement(exchange, event, module=module, name=name, document=document, identifier=current.id)
        )

    def add_type(self, trigger_type: TriggerType, event: str, storage: Storage) -> None:
        """Announce a trigger type.

        StackStorm does not announce types. It announces the triggers of a changed type again.
        """
        if not self._for_stackstorm:
            fields = {"ref": trigger_type.ref, "uid": trigger_type.uid}
            self._messages.append(announcement(self._topology.triggers, event, fields))
            return
        for trigger in storage.all(Trigger) if event == UPDATE else ():
            if trigger.type == trigger_type.ref:
                self.add(trigger, UPDATE, storage)

    def send(self, transport: Transport) -> None:
        """Publish the collected messages. Raises BrokerUnavailable; containers then learn of the changes at their next
        resync."""
        if not self._messages:
            return
        publisher = transport.publisher(COMMAND)
        try:
            publisher.connect()
            publisher.publish(self._messages)
        finally:
            publisher.close()
        self._messages.clear()
