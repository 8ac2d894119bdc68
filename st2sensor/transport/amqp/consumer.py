"""Reads exchanges through a queue of its own, which the broker deletes with the connection. Bodies stay bytes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

import amqp
from kombu.compression import decompress

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.wire import LONGEST_BODY, Wire
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

LONGEST_ANNOUNCEMENT = 1_048_576
"""Bytes. Who listens looks into storage after it has connected again, so that none is missed."""

LOG = logging.getLogger("st2sensor.broker")


class AmqpSubscription:
    """One connection with an exclusive queue; for one thread."""

    def __init__(self, broker: Broker, topology: Topology, exchanges: Sequence[str]) -> None:
        self._broker = broker
        self._topology = topology
        self._exchanges = exchanges
        self._wire: Wire | None = None
        self._received: list[Message] = []

    def connect(self) -> None:
        self.close()
        try:
            with self._broker.failures():
                reads = self._topology.dispatch in self._exchanges
                longest = LONGEST_BODY if reads else LONGEST_ANNOUNCEMENT
                self._wire = self._broker.opened(self._topology, longest=longest)
                self._consume(self._wire)
        except BaseException:
            self.close()
            raise

    def _consume(self, wire: Wire) -> None:
        channel = wire.channel()
        queue = f"{self._topology.prefix}.st2sensor.{uuid.uuid4().hex}"
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
        for exchange in self._exchanges:
            channel.queue_bind(queue, exchange, routing_key="#")
        channel.basic_consume(queue, no_ack=True, callback=self._on_message)

    def receive(self, timeout: float) -> list[Message]:
        if self._wire is None:
            raise BrokerUnavailable(f"not connected to the broker at {self._broker.address}")
        with self._broker.failures():
            self._wire.receive(timeout)
            self._wire.service()
        received, self._received = self._received, []
        return received

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.drop()

    def _on_message(self, message: amqp.Message) -> None:
        properties = message.properties
        headers = properties.get("application_headers", {})
        body = message.body.encode() if isinstance(message.body, str) else message.body
        if message.delivery_info["exchange"] == self._topology.dispatch:
            # Announcements are not read.
            body = _decompressed(body, headers.get("compression"))
        self._received.append(
            Message(
                exchange=message.delivery_info["exchange"],
                routing_key=message.delivery_info["routing_key"],
                body=body,
                content_type=properties.get("content_type", ""),
                content_encoding=properties.get("content_encoding", ""),
                id=properties.get("message_id"),
                headers=headers,
            )
        )


def _decompressed(body: bytes, kind: str | None) -> bytes:
    """What others have published may be anything: what cannot be decompressed stays as it is."""
    if kind is None:
        return body
    try:
        decompressed: bytes = decompress(body, kind)
    except Exception as exception:  # noqa: BLE001 (each library has errors of its own)
        LOG.warning("a message says that it is %s, and is not: %r", kind, exception)
        return body
    return decompressed
