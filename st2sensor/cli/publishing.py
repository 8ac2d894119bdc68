"""Trigger instances of a command's own: what they have to fit, and straight to the broker with them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import closing

from st2sensor.catalogue import Catalogue, name_of
from st2sensor.delivery import message_of
from st2sensor.models import CORE_PACK, Trigger, TriggerInstance, TriggerType
from st2sensor.outbox_file import Entry
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport import open_transport
from st2sensor.transport.codec import to_json


def registered(settings: Settings) -> Catalogue:
    """The trigger types and triggers that are registered now. Raises StorageError, StorageUnavailable."""
    catalogue = Catalogue()
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        catalogue.learn(storage.all(TriggerType), storage.all(Trigger))
    return catalogue


def publish(settings: Settings, instances: Sequence[TriggerInstance], catalogue: Catalogue | None = None) -> None:
    """Publish in order, not by an outbox. Raises TransportError.

    :param catalogue: knows their types; without one each names its type itself.
    """
    entries = [_entry(instance, catalogue) for instance in instances]
    with closing(open_transport(settings.messaging).publisher()) as publisher:
        publisher.connect()
        publisher.publish([message_of(entry, settings.messaging) for entry in entries])


def _entry(instance: TriggerInstance, catalogue: Catalogue | None) -> Entry:
    name = name_of(instance.trigger)
    trigger_type = None if catalogue is None else catalogue.type_of(instance.trigger)
    return Entry(
        message_id=uuid.uuid4().hex,
        sensor=CORE_PACK,
        trigger=name,
        trigger_type=name if trigger_type is None else trigger_type.ref,
        created=time.time(),
        body=to_json(instance),
    )
