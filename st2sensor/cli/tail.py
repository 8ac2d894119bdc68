"""Shows trigger instances as they pass over the exchange."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from st2sensor.errors import StorageError
from st2sensor.models import Trigger
from st2sensor.settings import Messaging
from st2sensor.storage.base import Storage
from st2sensor.transport import open_transport
from st2sensor.transport.base import Message, Subscription
from st2sensor.transport.codec import JSON_TYPE
from st2sensor.transport.topology import Topology

WAIT = 0.2
"""Seconds between two looks whether to end."""


def subscribe(messaging: Messaging) -> Subscription:
    """Listen from now on. Raises BrokerUnavailable."""
    subscription = open_transport(messaging).subscription([Topology(messaging.prefix).dispatch])
    subscription.connect()
    return subscription


def follow(subscription: Subscription, storage: Storage, console: Console, ended: Callable[[], bool]) -> None:
    """Print each trigger instance until `ended` says so and nothing more has arrived."""
    while True:
        last = ended()
        messages = subscription.receive(WAIT)
        for message in messages:
            console.print(_line(message, storage), soft_wrap=True)
        if last and not messages:
            return


def _line(message: Message, storage: Storage) -> Text:
    stamp = time.strftime("%H:%M:%S")
    if message.content_type != JSON_TYPE:
        return Text(f"{stamp}  {len(message.body)} bytes of {message.content_type}: set [messaging] serializer = json")
    body = json.loads(message.body)
    line = Text.assemble((stamp, "dim"), "  ", (_trigger_type(body["trigger"], storage), "bold cyan"))
    trace = body.get("trace_context")
    if trace and trace.get("trace_tag"):
        line.append(f"  #{trace['trace_tag']}", "magenta")
    for name, value in body["payload"].items():
        line.append(f"  {name}=", "dim").append(_short(value))
    return line


def _trigger_type(trigger: Any, storage: Storage) -> str:
    """The type's reference: a trigger with parameters is named by a uuid, which tells a person nothing."""
    if isinstance(trigger, dict):
        return str(trigger.get("type") or trigger.get("ref"))
    try:
        known = storage.get(Trigger, trigger)
    except StorageError:
        return str(trigger)
    return str(trigger) if known is None else known.type


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
