"""Connections to an AMQP broker: opening, declaring, heartbeats, and one error for all that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import amqp
import kombu
from kombu.utils.url import maybe_sanitize_url

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.topology import Topology

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""

HEARTBEAT = 10.0
"""Seconds; a broker that is silent for two of them is gone."""

FAILURES = (amqp.exceptions.AMQPError, kombu.exceptions.KombuError, OSError)


def connection(urls: Sequence[str]) -> kombu.Connection:
    """A connection to the first broker that answers, not opened yet."""
    return kombu.Connection(";".join(urls), connect_timeout=CONNECT_TIMEOUT, heartbeat=HEARTBEAT)


def address(urls: Sequence[str]) -> str:
    """The brokers' addresses without passwords."""
    return ", ".join(maybe_sanitize_url(url) for url in urls)


@contextmanager
def failures(urls: Sequence[str]) -> Iterator[None]:
    """Turn what py-amqp and kombu raise into BrokerUnavailable."""
    try:
        yield
    except FAILURES as exception:
        reason = str(exception) or type(exception).__name__
        raise BrokerUnavailable(
            f"cannot reach the broker at {address(urls)}: {reason}; is it running, and is [messaging] url right?"
        ) from exception


def declare(channel: amqp.Channel, topology: Topology) -> None:
    """Declare StackStorm's exchanges, and the rules engine's queue, so that what is published first is kept."""
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    channel.queue_declare(topology.rules_engine, durable=True, auto_delete=False, exclusive=False)
    channel.queue_bind(topology.rules_engine, topology.dispatch, routing_key="#")


def service(opened: kombu.Connection) -> None:
    """Read what has arrived, without waiting, and keep the heartbeats going."""
    opened.heartbeat_check()
    with suppress(TimeoutError):
        while True:
            opened.drain_events(timeout=0)


def receive(opened: kombu.Connection, timeout: float) -> None:
    """Wait up to `timeout` seconds for one event from the broker, then keep the heartbeats going."""
    with suppress(TimeoutError):
        opened.drain_events(timeout=timeout)
    opened.heartbeat_check()
