"""Receives the messages of exchanges through its own queue, which the broker deletes with the connection."""

from __future__ import annotations

import bz2
import logging
import lzma
import uuid
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import amqp
from backports import zstd

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.wire import LONGEST_BODY, Wire
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

LONGEST_ANNOUNCEMENT = 1_048_576
"""The maximum size of an announcement, in bytes. After a larger one the listener reconnects and reads the storage."""

DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
    "application/zstd": zstd.ZstdDecompressor,
}
"""By kombu's names. kombu's own functions have no limit, and a few bytes may stand for gigabytes."""

LOG = logging.getLogger("st2sensor.broker")


class AmqpSubscription:
    """A connection with an exclusive queue. For one thread."""

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
            # The bodies of announcements are not used.
            body = decompressed(body, headers.get("compression"))
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


def decompressed(body: bytes, kind: object) -> bytes:
    """Return the decompressed body, or the given body if that fails: other programs may publish anything.

    :param kind: a name of kombu's, as StackStorm's `[messaging] compression` writes it.
    """
    if kind is None:
        return body
    try:
        found: bytes = DECOMPRESSORS[str(kind)]().decompress(body, LONGEST_BODY + 1)
    except Exception as exception:  # noqa: BLE001 (each library has its own errors)
        LOG.warning("a message claims to be compressed with %.100r, but is not: %.200r", kind, exception)
        return body
    if len(found) > LONGEST_BODY:
        LOG.warning("a message has more than %d bytes, decompressed; it is shown as it is", LONGEST_BODY)
        return body
    return found
