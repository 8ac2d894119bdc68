"""Trigger instances as they pass over the exchange: following them, and a line for each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from st2sensor.cli.events.seen import Seen
from st2sensor.cli.text.printable import in_line
from st2sensor.settings import Messaging
from st2sensor.transport import open_transport
from st2sensor.transport.base import Message, Subscription
from st2sensor.transport.topology import Topology

POLL_INTERVAL = 0.2
"""Seconds between two looks whether to end."""


def subscribe(messaging: Messaging) -> Subscription:
    """Listen from now on. Raises BrokerUnavailable."""
    subscription = open_transport(messaging).subscription([Topology(messaging.prefix).dispatch])
    subscription.connect()
    return subscription


def follow(subscription: Subscription, handle: Callable[[Message], None], ended: Callable[[], bool]) -> None:
    """Hand on each message until `ended` says so and nothing more has arrived."""
    while True:
        last = ended()
        messages = subscription.receive(POLL_INTERVAL)
        for message in messages:
            handle(message)
        if last and not messages:
            return


def line(seen: Seen) -> Text:
    """An instance as a line: when, of which type, its trace tag and its payload."""
    told = Text.assemble((time.strftime("%H:%M:%S"), "dim"), "  ", (in_line(seen.trigger_type), "bold cyan"))
    if seen.trace_tag:
        told.append(f"  #{in_line(seen.trace_tag)}", "magenta")
    for name, value in seen.payload.items():
        told.append(f"  {in_line(name)}=", "dim").append(_short(value))
    return told


def _short(value: Any) -> str:
    return in_line(value if isinstance(value, str) else json.dumps(value))
