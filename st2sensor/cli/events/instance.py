"""A trigger instance from the exchange, which commands show, record and replay."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from st2sensor.cli.text.printable import in_line
from st2sensor.dispatch.catalogue import name_of
from st2sensor.errors import StorageError
from st2sensor.models import Trigger
from st2sensor.portable import isotime
from st2sensor.storage.base import Storage
from st2sensor.transport.base import Message
from st2sensor.transport.codec import JSON_TYPE

BEGINNING = 80
"""Number of bytes of a malformed message that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A trigger instance.

    :param time: ISO 8601 text: when it arrived here.
    :param trigger: reference of the trigger, or its fields.
    :param trigger_type: reference of the type. It is needed because a trigger with parameters is named only by a uuid.
    :param trace_context: `id_` and `trace_tag`.
    """

    time: str
    trigger: str | Mapping[str, Any]
    trigger_type: str
    payload: Mapping[str, Any]
    trace_context: Mapping[str, str | None] | None
    message_id: str | None

    @property
    def trace_tag(self) -> str | None:
        tag = self.trace_context.get("trace_tag") if self.trace_context else None
        return None if tag is None else str(tag)


def instance_in(message: Message, storage: Storage) -> Instance | None:
    """Return the instance in a message; None if the message is something else, or not JSON: pickles are never read."""
    if message.content_type != JSON_TYPE:
        return None
    try:
        body = json.loads(message.body)
    except (ValueError, RecursionError):
        return None
    if not _is_instance(body):
        return None
    return Instance(
        time=isotime.format(time.time(), offset=False),
        trigger=body["trigger"],
        trigger_type=_type_of(body["trigger"], storage),
        payload=body["payload"],
        trace_context=body.get("trace_context"),
        message_id=message.id,
    )


def not_shown(message: Message) -> str:
    """Return a line about a message that `instance_in` cannot read."""
    size = f"{len(message.body)} bytes"
    if message.content_type == JSON_TYPE:
        beginning = in_line(message.body[:BEGINNING].decode("utf-8", "replace"))
        return f"a message of {size} is not a trigger instance: {beginning}"
    return f"{size} of {in_line(str(message.content_type))}: set [messaging] serializer = json"


def _is_instance(body: Any) -> bool:
    return (
        isinstance(body, dict)
        and isinstance(body.get("trigger"), str | dict)
        and isinstance(body.get("payload"), dict)
        and isinstance(body.get("trace_context"), dict | NoneType)
    )


def _type_of(trigger: Any, storage: Storage) -> str:
    if isinstance(trigger, dict):
        return str(trigger.get("type") or name_of(trigger))
    try:
        known = storage.get(Trigger, trigger)
    except (StorageError, UnicodeEncodeError):
        return str(trigger)
    return str(trigger) if known is None else known.type
