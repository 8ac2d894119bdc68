"""Shows trigger instances as they pass over the exchange."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from st2sensor.cli.recording import Record
from st2sensor.cli.seen import Seen, not_shown, seen_in
from st2sensor.settings import Messaging
from st2sensor.storage.base import Storage
from st2sensor.transport import open_transport
from st2sensor.transport.base import Message, Subscription
from st2sensor.transport.topology import Topology

WAIT = 0.2
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
        messages = subscription.receive(WAIT)
        for message in messages:
            handle(message)
        if last and not messages:
            return


def printer(storage: Storage, console: Console, record: Record) -> Callable[[Message], None]:
    """Prints a line for each message, and records it."""

    def handle(message: Message) -> None:
        seen = seen_in(message, storage)
        if seen is not None:
            record(seen)
        console.print(_line(seen, message), soft_wrap=True)

    return handle


def _line(seen: Seen | None, message: Message) -> Text:
    stamp = time.strftime("%H:%M:%S")
    if seen is None:
        return Text(f"{stamp}  {not_shown(message)}")
    line = Text.assemble((stamp, "dim"), "  ", (seen.trigger_type, "bold cyan"))
    if seen.trace_tag:
        line.append(f"  #{seen.trace_tag}", "magenta")
    for name, value in seen.payload.items():
        line.append(f"  {name}=", "dim").append(_short(value))
    return line


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
