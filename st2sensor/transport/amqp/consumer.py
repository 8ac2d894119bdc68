"""Reads exchanges through a queue of its own, which the broker deletes with the connection. Bodies stay bytes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

import amqp
import kombu

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.amqp import connection as broker
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

LOG = logging.getLogger(__name__)


class AmqpSubscription:
    """One connection with an exclusive queue; for one thread."""

    def __init__(self, urls: Sequence[str], topology: Topology, exchanges: Sequence[str]) -> None:
        self._urls = urls
        self._topology = topology
        self._exchanges = exchanges
        self._connection: kombu.Connection | None = None
        self._received: list[Message] = []

    def connect(self) -> None:
        self.close()
        with broker.failures(self._urls):
            self._connection = broker.connection(self._urls)
            channel = self._connection.connect().channel()
            broker.declare(channel, self._topology)
            queue = f"{self._topology.prefix}.st2sensor.{uuid.uuid4().hex}"
            channel.queue_declare(queue, exclusive=True, auto_delete=True)
            for exchange in self._exchanges:
                channel.queue_bind(queue, exchange, routing_key="#")
            channel.basic_consume(queue, no_ack=True, callback=self._on_message)

    def receive(self, timeout: float) -> list[Message]:
        if self._connection is None:
            raise BrokerUnavailable(f"not connected to the broker at {broker.address(self._urls)}")
        with broker.failures(self._urls):
            broker.receive(self._connection, timeout)
            broker.service(self._connection)
        received, self._received = self._received, []
        return received

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.release()
            except broker.FAILURES as exception:
                LOG.debug("while closing the connection to the broker: %s", exception)

    def _on_message(self, message: amqp.Message) -> None:
        properties = message.properties
        body = message.body
        self._received.append(
            Message(
                exchange=message.delivery_info["exchange"],
                routing_key=message.delivery_info["routing_key"],
                body=body.encode() if isinstance(body, str) else body,
                content_type=properties.get("content_type", ""),
                content_encoding=properties.get("content_encoding", ""),
                id=properties.get("message_id"),
                headers=properties.get("application_headers", {}),
            )
        )
