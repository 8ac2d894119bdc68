"""Publishes with pipelined publisher confirms: a batch leaves at once, and counts when the broker has confirmed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import amqp
import kombu
from amqp import spec
from kombu.compression import compress

from st2sensor.errors import BrokerUnavailable, MessageNotTaken, RoutingKeyForbidden
from st2sensor.transport.amqp.connection import Broker, declare, drop, receive, service
from st2sensor.transport.amqp.frames import FrameBuffer
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

PERSISTENT = 2

PERMITTED = 10_000
"""Routing keys that are remembered as permitted, at most; then each is tried again."""

TOPIC_REFUSED = "access to topic '"
"""What RabbitMQ says before the routing key that it refuses; of a whole exchange it speaks as of an exchange."""

COMPRESSIONS = {"bz2": "bzip2"}
"""StackStorm's names of what kombu calls otherwise."""


class AmqpPublisher:
    """One connection and channel in confirm mode; for one thread."""

    def __init__(self, broker: Broker, topology: Topology, compression: str | None = None) -> None:
        self._broker = broker
        self._compression = compression
        self._topology = topology
        self._frames = FrameBuffer()
        self._connection: kombu.Connection | None = None
        self._channel: amqp.Channel | None = None
        self._published = 0
        self._unconfirmed: set[int] = set()
        self._permitted: set[tuple[str, str]] = set()
        """Exchanges and routing keys that this connection's user may publish under."""
        self._problem = ""
        """Why the batch under way was not taken, when the broker has said so."""

    def connect(self) -> None:
        self.close()
        with self._broker.failures():
            self._connection = self._broker.connection(frame_writer=self._frames.factory)
            opened = self._broker.opened(self._connection)
            declare(opened, self._topology)
            self._channel = self._open_channel(opened)

    def _open_channel(self, opened: amqp.Connection) -> amqp.Channel:
        channel = opened.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._published = 0
        self._unconfirmed.clear()
        return channel

    def publish(self, messages: Sequence[Message]) -> None:
        connection = self._connection
        if connection is None:
            raise BrokerUnavailable(f"not connected to the broker at {self._broker.address}")
        with self._broker.failures():
            channel = self._channel = self._channel or self._open_channel(connection.connection)
        before = self._published
        with self._broker.failures(), self._broker.refusals(), self._forbidden(messages, before):
            for run in self._runs(messages):
                self._publish(connection, channel, run)

    def _runs(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """The messages, in order, in parts that are confirmed before the next one leaves.

        A refused routing key ends the channel, and with it the confirms of what left before. So the first message of
        each key leaves alone: if it is refused, everything before it has been confirmed, and nothing is repeated.
        """
        run: list[Message] = []
        for message in messages:
            if (message.exchange, message.routing_key) in self._permitted:
                run.append(message)
                continue
            if run:
                yield run
                run = []
            yield [message]
        if run:
            yield run

    def _publish(self, connection: kombu.Connection, channel: amqp.Channel, messages: Sequence[Message]) -> None:
        self._problem = ""
        self._frames.hold()
        try:
            for message in messages:
                self._send(channel, message)
        finally:
            self._frames.release()
        while self._unconfirmed:
            receive(connection, timeout=1.0)
        if self._problem:
            raise MessageNotTaken(f"the broker at {self._broker.address} {self._problem}")
        if len(self._permitted) >= PERMITTED:
            self._permitted.clear()
        self._permitted.update((message.exchange, message.routing_key) for message in messages)

    @contextmanager
    def _forbidden(self, messages: Sequence[Message], before: int) -> Iterator[None]:
        """Turn the refusal of a routing key into RoutingKeyForbidden; the next `publish` opens a new channel.

        :param before: number of messages that were published on this channel before these.
        """
        try:
            yield
        except amqp.exceptions.AccessRefused as refusal:
            _, found, said = str(refusal.reply_text).partition(TOPIC_REFUSED)
            sent = self._published - before
            confirmed = tuple(index for index in range(sent) if before + index + 1 not in self._unconfirmed)
            waiting = [messages[index].routing_key for index in range(sent) if before + index + 1 in self._unconfirmed]
            if not found or not waiting:
                raise
            key = next((key for key in waiting if _is_named(key, said)), waiting[-1])
            self._channel = None
            self._permitted = {pair for pair in self._permitted if pair[1] != key}
            raise RoutingKeyForbidden(
                f"the broker at {self._broker.address} refuses the routing key {key}: its user needs a topic permission"
                " for it (rabbitmqctl set_topic_permissions)",
                routing_key=key,
                confirmed=confirmed,
            ) from refusal

    def _send(self, channel: amqp.Channel, message: Message) -> None:
        self._published += 1
        self._unconfirmed.add(self._published)
        # Not basic_publish(), which looks for news from the broker before each message.
        arguments = (0, message.exchange, message.routing_key, message.mandatory, False)
        channel.send_method(
            spec.Basic.Publish, "Bssbb", arguments, _amqp_message(_compressed(message, self._compression))
        )

    def keep_alive(self) -> None:
        if self._connection is not None:
            with self._broker.failures():
                service(self._connection)

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._permitted.clear()
        if connection is not None:
            drop(connection)

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > delivery_tag}
        else:
            self._unconfirmed.discard(delivery_tag)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._problem = "could not take a message"
        self._on_ack(delivery_tag, multiple)

    def _on_return(self, exception: Exception, exchange: str, routing_key: str, message: amqp.Message) -> None:  # noqa: ARG002
        # It comes before the confirm of the same message. Connecting anew declares what takes it.
        self._problem = f"has no queue for {routing_key} on {exchange}"


def _is_named(key: str, said: str) -> bool:
    """Whether a refusal names a routing key; RabbitMQ cuts a long one off.

    :param said: what follows TOPIC_REFUSED.
    """
    cut = said.removesuffix("...")
    return said.startswith(f"{key}'") or ("'" not in cut and key.startswith(cut))


def _compressed(message: Message, compression: str | None) -> Message:
    """As kombu's consumers, StackStorm's among them, take it; announcements are too small."""
    if compression is None or message.id is None:
        return message
    body, kind = compress(message.body, COMPRESSIONS.get(compression, compression))
    return replace(message, body=body, headers={**message.headers, "compression": kind})


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
