"""Interchangeable transports behind one protocol. Only the configured one is loaded."""

from __future__ import annotations

from urllib.parse import urlsplit

from st2sensor.settings import Messaging
from st2sensor.system.lazy import resolve
from st2sensor.transport.base import Transport

BACKENDS = {
    "amqp": "st2sensor.transport.amqp.transport:open_transport",
    "amqps": "st2sensor.transport.amqp.transport:open_transport",
    "pyamqp": "st2sensor.transport.amqp.transport:open_transport",
    "local": "st2sensor.transport.local:open_transport",
}
"""Functions that make a transport, by the scheme of the broker's URL."""


def open_transport(settings: Messaging) -> Transport:
    """Return the configured transport. Nothing is connected yet."""
    opened: Transport = resolve(BACKENDS[urlsplit(settings.urls[0]).scheme])(settings)
    return opened
