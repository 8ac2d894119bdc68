"""Turns an entry of the outbox into the message that consumers get."""

from __future__ import annotations

from collections.abc import Callable

from st2sensor.outbox.entry import Entry
from st2sensor.settings import Messaging
from st2sensor.transport.base import MICROSECONDS, Message
from st2sensor.transport.codec import Encode, trigger_message
from st2sensor.transport.topology import TRIGGER_INSTANCE, Topology

FENCE = "st2sensor-fence"
"""Header of a shared sensor's messages: the fence of the lease under which the event was dispatched."""

LATE = "st2sensor-late"
"""Header of a shared sensor's messages: set if that lease was over at the time of publishing."""

REPLAYED = "st2sensor-replayed"
"""Header of a replayed event's message: the time of the replay in microseconds since the epoch, in decimal digits."""
SENSOR = "st2sensor-sensor"
"""Header of every message: the reference of the sensor, or of the instance, that dispatched the event."""

ROUTING_KEY_LIMIT = 255
"""Maximum size of a routing key in AMQP, in bytes."""


def message_of(
    entry: Entry,
    messaging: Messaging,
    *,
    late: bool = False,
    replayed: float | None = None,
    encode: Encode | None = None,
) -> Message:
    """Return the message that consumers get for an outbox entry.

    :param late: whether another container may be running the sensor by now.
    :param replayed: when it is published again from the history, in seconds since the epoch; None if it is not.
    :param encode: function that encodes the body elsewhere, for example in a worker process.

    Raises ValueError for a body that is not JSON, and Undeliverable for a body that consumers cannot accept.
    """
    headers = {SENSOR: entry.sensor} | ({} if entry.fence is None else {FENCE: str(entry.fence)})
    return trigger_message(
        entry.body,
        tagged=entry.tagged,
        topology=Topology(messaging.prefix),
        serializer=messaging.serializer,
        routing_key=ROUTING_KEYS[messaging.routing_key](entry),
        message_id=entry.message_id,
        created=entry.created,
        headers=headers
        | ({LATE: "true"} if late else {})
        | ({} if replayed is None else {REPLAYED: str(int(replayed * MICROSECONDS))}),
        encode=encode,
    )


def _type_key(entry: Entry) -> str:
    """Return the reference of the trigger type, cut if it is longer than AMQP allows."""
    return entry.trigger_type.encode()[:ROUTING_KEY_LIMIT].decode(errors="ignore")


ROUTING_KEYS: dict[str, Callable[[Entry], str]] = {"trigger_instance": lambda _: TRIGGER_INSTANCE, "trigger": _type_key}
"""Functions that make a routing key, by the value of `[messaging] routing_key`."""
