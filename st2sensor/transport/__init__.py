"""Interchangeable transports behind one protocol. Only the configured one is loaded."""

from __future__ import annotations

from urllib.parse import urlsplit

from st2sensor.settings import Messaging
from st2sensor.system.lazy import resolve
from st2sensor.transport.base import Transport
from st2sensor.transport.route import Route

BACKENDS = {
    "amqp": "st2sensor.transport.amqp.transport:open_transport",
    "amqps": "st2sensor.transport.amqp.transport:open_transport",
    "pyamqp": "st2sensor.transport.amqp.transport:open_transport",
    "local": "st2sensor.transport.local:open_transport",
}
"""Functions that make a transport, by the scheme of the broker's URL."""


PROBES = dict.fromkeys(("amqp", "amqps", "pyamqp"), "st2sensor.transport.amqp.probe:probe")
"""Functions that examine the route of events, by the scheme of the broker's URL. There is none for a bus without
queues."""


def open_transport(settings: Messaging) -> Transport:
    """Return the configured transport. Nothing is connected yet."""
    opened: Transport = resolve(BACKENDS[urlsplit(settings.urls[0]).scheme])(settings)
    return opened


def probe(settings: Messaging) -> Route | None:
    """Return the route of events through the broker; None if there are no queues. Raises BrokerUnavailable."""
    name = PROBES.get(urlsplit(settings.urls[0]).scheme)
    found: Route | None = None if name is None else resolve(name)(settings)
    return found
