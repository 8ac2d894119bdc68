"""Check and publish a command's own trigger instances, without the outbox."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import closing

from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.catalogue import Catalogue, name_of
from st2sensor.dispatch.checker import Checker
from st2sensor.dispatch.event import Event
from st2sensor.errors import MessageNotTaken
from st2sensor.models import CORE_PACK, Refusal, Trigger, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND

REMEDY = "declare a durable queue, and bind it to the exchange of triggers"
"""The remedy for triggers that no queue takes."""


def registered(settings: Settings) -> Catalogue:
    """Return the registered trigger types and triggers. Raises StorageError, StorageUnavailable."""
    catalogue = Catalogue()
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        catalogue.learn(storage.all(TriggerType), storage.all(Trigger), storage.all(Refusal))
    return catalogue


def objections(settings: Settings, events: Sequence[Event], catalogue: Catalogue | None = None) -> list[str | None]:
    """Return for each event the reason why it must not be published, or None. Raises StorageError, StorageUnavailable.

    :param catalogue: the registered types; None to read them now.
    """

    async def all_of_them() -> list[str | None]:
        return [await checker.objection(CORE_PACK, event) for event in events]

    with closing(Checker(catalogue or registered(settings), settings.payloads)) as checker:
        return asyncio.run(all_of_them())


def publish(settings: Settings, events: Sequence[Event], catalogue: Catalogue | None = None) -> None:
    """Publish events in order, straight to the broker. Raises TransportError, also if no queue takes an event.

    :param catalogue: the registered types; without it each event must name its type.
    """
    entries = [_entry(event, catalogue) for event in events]
    with closing(open_transport(settings.messaging).publisher(COMMAND)) as publisher:
        publisher.connect()
        unrouted = publisher.publish([message_of(entry, settings.messaging) for entry in entries])
    if unrouted:
        raise MessageNotTaken(f"no queue takes {len(unrouted)} of {len(entries)} triggers; {REMEDY}")


def _entry(event: Event, catalogue: Catalogue | None) -> Entry:
    name = name_of(event.trigger)
    trigger_type = None if catalogue is None else catalogue.type_of(event.trigger)
    return Entry(
        message_id=uuid.uuid4().hex,
        sensor=CORE_PACK,
        trigger=name,
        trigger_type=name if trigger_type is None else trigger_type.ref,
        created=time.time(),
        body=event.body(),
    )
