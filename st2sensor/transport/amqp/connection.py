"""Connections to an AMQP broker: opening, declaring, heartbeats, and one error for all that goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import amqp
import kombu
from kombu.utils.url import maybe_sanitize_url

from st2sensor.errors import BrokerUnavailable, MessageRefused
from st2sensor.settings import Tls
from st2sensor.transport.topology import Topology

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""

HEARTBEAT = 10.0
"""Seconds; a broker that is silent for two of them is gone."""

REFUSALS = (amqp.exceptions.PreconditionFailed, amqp.exceptions.ContentTooLarge)
"""What a broker says of a message that it will never take."""

FAILURES = (amqp.exceptions.AMQPError, kombu.exceptions.KombuError, OSError)


WRITE_TIMEOUT = 20.0
"""Seconds that a write may wait for a broker that does not read; then the connection is given up."""

VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to reach a broker, or the members of one cluster in turn.

    :param login_method: SASL mechanism; None leaves it to the broker.
    """

    urls: tuple[str, ...]
    tls: Tls | None = None
    login_method: str | None = None

    @property
    def address(self) -> str:
        """Without passwords."""
        return ", ".join(maybe_sanitize_url(url) for url in self.urls)

    def connection(self, **options: Any) -> kombu.Connection:
        """A connection, not opened yet; `opened` does.

        :param options: more of what py-amqp's connection takes.
        """
        return kombu.Connection(
            ";".join(self.urls),
            connect_timeout=CONNECT_TIMEOUT,
            heartbeat=HEARTBEAT,
            login_method=self.login_method,
            ssl=False if self.tls is None else _ssl_options(self.tls),
            transport_options={"write_timeout": WRITE_TIMEOUT, **options},
        )

    def opened(self, connection: kombu.Connection) -> amqp.Connection:
        """Open a connection to the first broker that answers, trying each once."""
        connection.ensure_connection(max_retries=len(self.urls) - 1, interval_start=0, interval_step=0)
        return connection.connection

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what py-amqp and kombu raise into BrokerUnavailable."""
        try:
            yield
        except amqp.exceptions.ChannelError as exception:
            raise BrokerUnavailable(f"the broker at {self.address} answers, and refuses: {exception}") from exception
        except FAILURES as exception:
            reason = str(exception) or type(exception).__name__
            raise BrokerUnavailable(
                f"cannot reach the broker at {self.address}: {reason}; is it running, and is [messaging] url right?"
            ) from exception

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """While publishing: turn what a broker says of a message that it will never take into MessageRefused."""
        try:
            yield
        except REFUSALS as exception:
            raise MessageRefused(f"the broker at {self.address} refused it: {exception}") from exception


def _ssl_options(tls: Tls) -> dict[str, Any]:
    files = {"keyfile": tls.key_file, "certfile": tls.certificate_file, "ca_certs": tls.ca_file}
    return {name: path for name, path in files.items() if path} | {"cert_reqs": VERIFY[tls.verify]}


def declare(opened: amqp.Connection, topology: Topology) -> None:
    """Make StackStorm's exchanges, and the rules engine's queue, so that what is published first is kept.

    What is there already is taken as it is: operators give the queue a type or a policy of their own.
    """
    for exchange in topology.exchanges:
        if not _exists(opened, "exchange_declare", exchange, "topic"):
            with opened.channel() as channel:
                channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    if not _exists(opened, "queue_declare", topology.rules_engine):
        with opened.channel() as channel:
            channel.queue_declare(topology.rules_engine, durable=True, auto_delete=False, exclusive=False)
    with opened.channel() as channel:
        channel.queue_bind(topology.rules_engine, topology.dispatch, routing_key="#")


def _exists(opened: amqp.Connection, declaration: str, *arguments: str) -> bool:
    """Ask for something without making it; a broker that does not have it closes the channel."""
    channel = opened.channel()
    try:
        getattr(channel, declaration)(*arguments, passive=True)
    except amqp.exceptions.NotFound:
        return False
    channel.close()
    return True


def drop(opened: kombu.Connection) -> None:
    """Close the socket without a word: a broker that is blocked, or gone, would never answer a goodbye."""
    inner = opened.connection if opened.connected else None
    opened.collect()
    if inner is not None:
        inner.collect()


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
