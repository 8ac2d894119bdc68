"""Follow the trigger instances on the exchange, and show each as a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from st2sensor.cli.events.instance import Instance
from st2sensor.cli.text.printable import in_line
from st2sensor.settings import Messaging
from st2sensor.transport import open_transport
from st2sensor.transport.base import Message, Subscription
from st2sensor.transport.topology import Topology

POLL_INTERVAL = 0.2
"""Seconds between two checks of whether to end."""


def subscribe(messaging: Messaging) -> Subscription:
    """Subscribe to the exchange. Raises BrokerUnavailable."""
    subscription = open_transport(messaging).subscription([Topology(messaging.prefix).dispatch])
    subscription.connect()
    return subscription


def follow(subscription: Subscription, handle: Callable[[Message], None], ended: Callable[[], bool]) -> None:
    """Pass each message to `handle` until `ended` returns true and nothing more has arrived."""
    while True:
        last = ended()
        messages = subscription.receive(POLL_INTERVAL)
        for message in messages:
            handle(message)
        if last and not messages:
            return


def at_now() -> Text:
    """Return the beginning of a line: the time."""
    return Text.assemble((time.strftime("%H:%M:%S"), "dim"), "  ")


def line(instance: Instance) -> Text:
    """Return an instance as a line: time, trigger type, trace tag and payload."""
    shown = at_now().append(in_line(instance.trigger_type), "bold cyan")
    if instance.trace_tag:
        shown.append(f"  #{in_line(instance.trace_tag)}", "magenta")
    for name, value in instance.payload.items():
        shown.append(f"  {in_line(name)}=", "dim").append(_short(value))
    return shown


def _short(value: Any) -> str:
    return in_line(value if isinstance(value, str) else json.dumps(value))
