"""Interchangeable transports behind one protocol."""

from __future__ import annotations

from urllib.parse import urlsplit

from st2sensor.settings import Messaging
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.transport import AmqpTransport
from st2sensor.transport.base import Transport
from st2sensor.transport.local import LocalTransport
from st2sensor.transport.topology import Topology


def open_transport(settings: Messaging) -> Transport:
    """The configured transport; nothing is connected to yet."""
    return BACKENDS[urlsplit(settings.urls[0]).scheme](settings)


def _amqp(settings: Messaging) -> Transport:
    broker = Broker(urls=settings.urls, tls=settings.tls, login_method=settings.login_method)
    return AmqpTransport(broker, Topology(settings.prefix), settings.compression)


def _local(settings: Messaging) -> Transport:
    return LocalTransport(settings.local_path)


BACKENDS = {"amqp": _amqp, "amqps": _amqp, "pyamqp": _amqp, "local": _local}
