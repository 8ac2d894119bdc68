"""Publishes with pipelined publisher confirms: a batch leaves at once, and counts when the broker has confirmed it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import amqp
import kombu

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.amqp import connection as broker
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

LOG = logging.getLogger(__name__)

PERSISTENT = 2


class AmqpPublisher:
    """One connection and channel in confirm mode; for one thread."""

    def __init__(self, urls: Sequence[str], topology: Topology) -> None:
        self._urls = urls
        self._topology = topology
        self._connection: kombu.Connection | None = None
        self._channel: amqp.Channel | None = None
        self._published = 0
        self._unconfirmed: set[int] = set()
        self._refused: list[int] = []

    def connect(self) -> None:
        self.close()
        with broker.failures(self._urls):
            self._connection = broker.connection(self._urls)
            channel = self._connection.connect().channel()
            broker.declare(channel, self._topology)
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            self._channel = channel
        self._published = 0
        self._unconfirmed.clear()
        self._refused.clear()

    def publish(self, messages: Sequence[Message]) -> None:
        if self._connection is None or self._channel is None:
            raise BrokerUnavailable(f"not connected to the broker at {broker.address(self._urls)}")
        with broker.failures(self._urls):
            for message in messages:
                self._published += 1
                self._unconfirmed.add(self._published)
                self._channel.basic_publish(_amqp_message(message), message.exchange, message.routing_key)
            while self._unconfirmed:
                broker.receive(self._connection, timeout=1.0)
        if self._refused:
            raise BrokerUnavailable(
                f"the broker at {broker.address(self._urls)} refused {len(self._refused)} of {len(messages)} messages"
            )

    def keep_alive(self) -> None:
        if self._connection is not None:
            with broker.failures(self._urls):
                broker.service(self._connection)

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except broker.FAILURES as exception:
                LOG.debug("while closing the connection to the broker: %s", exception)

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._refused += self._settle(delivery_tag, multiple)

    def _settle(self, delivery_tag: int, multiple: bool) -> list[int]:
        settled = [tag for tag in self._unconfirmed if tag <= delivery_tag] if multiple else [delivery_tag]
        self._unconfirmed.difference_update(settled)
        return settled


def _amqp_message(message: Message) -> amqp.Message:
    return amqp.Message(
        message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        application_headers=message.headers,
        delivery_mode=PERSISTENT,
        priority=0,
        **({} if message.id is None else {"message_id": message.id}),
    )
