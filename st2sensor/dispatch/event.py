"""An event on its way from a sensor to the outbox. Its payload stays JSON text, and is decoded only where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from st2sensor.models import TraceContext, TriggerInstance
from st2sensor.portable import rpc
from st2sensor.portable.event_key import is_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as a sensor dispatches it.

    :param trigger: a trigger's reference, or its fields as a mapping.
    :param payload: the payload as JSON, in UTF-8, on one line.
    :param tagged: whether the payload has the form that `payload.pack` makes, because it contains types that JSON
        lacks.
    :param schema: digest of the payload_schema that the sender found the payload to fit; None if it was not checked.
    :param withheld: why the payload was not sent, in words that follow "the payload"; None if it was sent.
    :param key: the key by which its repeats are recognised, as `event_key.key_of` makes it; None if it was not made.
    :param by_hand: whether an operator dispatches it, and is told if it is refused.
    """

    trigger: str | Mapping[str, Any]
    payload: bytes
    trace_context: TraceContext | None = None
    tagged: bool = False
    schema: str | None = None
    withheld: str | None = None
    key: str | None = None
    by_hand: bool = False

    def is_keyed(self, paths: Sequence[str]) -> bool:
        """Return whether the event has the key that these paths make, or needs none."""
        return not paths or is_key(self.key, paths)

    def refusal(self, sensor: str, name: str) -> str:
        """Return the consequence of its refusal for the log.

        :param name: the trigger's name as it is shown.
        """
        if self.by_hand:
            return f"refused to dispatch {name} by hand"
        return f"{sensor} dispatched {name}, which is kept as a dead letter"

    def body(self) -> str:
        """Return the event as JSON for the outbox. Raises UnicodeDecodeError for a payload that is not UTF-8."""
        context = self.trace_context
        trace = b"null" if context is None else rpc.body({"id_": context.id, "trace_tag": context.tag})
        parts = (rpc.body(self.trigger), self.payload, trace)
        return (b'{"trigger":%b,"payload":%b,"trace_context":%b}' % parts).decode()


def event_of(instance: TriggerInstance, schema: str | None = None) -> Event:
    """Return the event of a trigger instance. Raises NotJson.

    :param schema: as for `Event`.
    """
    return Event(
        trigger=instance.trigger,
        payload=rpc.body(instance.payload),
        trace_context=instance.trace_context,
        tagged=instance.tagged,
        schema=schema,
    )
