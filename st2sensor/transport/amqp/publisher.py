"""Publishes with pipelined publisher confirms: sends a batch at once, then waits until the broker has confirmed it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import amqp
from amqp import spec

from st2sensor.errors import BrokerUnavailable, MessageNotTaken, RoutingKeyForbidden
from st2sensor.health import Health, changed
from st2sensor.transport.amqp.confirms import Confirms
from st2sensor.transport.amqp.connection import Broker, consumers
from st2sensor.transport.amqp.envelope import Envelope, compressed
from st2sensor.transport.amqp.frames import FrameBuffer
from st2sensor.transport.amqp.returned import Returned
from st2sensor.transport.amqp.wire import Wire
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

LOG = logging.getLogger("st2sensor.broker")

STALL_CHECK_INTERVAL = 1.0
"""Seconds between two checks of the broker's progress."""

CONFIRM_LIMIT = 10.0
"""Seconds that a message may stay unconfirmed before a problem is reported."""

STUCK = 30.0
"""Seconds without progress after which the connection is given up, unless the broker is blocking its publishers."""

PROGRESS = 1000
"""The minimum number of bytes that a broker must accept between two checks to count as making progress."""

PERMITTED = 10_000
"""The maximum number of routing keys that are remembered as permitted. Beyond it, all of them are tried again."""

TOPIC_REFUSED = "access to topic '"
"""RabbitMQ's words before a refused routing key. For a whole exchange it says `exchange` instead of `topic`."""


class AmqpPublisher:
    """A connection with one channel in confirm mode. For one thread, except `health`.

    :param patience: seconds that connecting and the first `publish` may take together, and each further `publish`;
        None to wait as long as the broker shows that it is alive.
    :param drops_unrouted: whether the broker may drop messages that no queue takes; `publish` reports them.
    """

    def __init__(
        self,
        broker: Broker,
        topology: Topology,
        compression: str | None = None,
        patience: float | None = None,
        *,
        drops_unrouted: bool = False,
    ) -> None:
        self._broker = broker
        self._compression = compression
        self._topology = topology
        self._patience = patience
        self._drops_unrouted = drops_unrouted
        self._until: float | None = None
        """When connecting and the first `publish` are given up, on the monotonic clock."""
        self._frames = FrameBuffer()
        self._wire: Wire | None = None
        self._channel: amqp.Channel | None = None
        self._confirms = Confirms()
        self._returned = Returned(())
        self._permitted: set[tuple[str, str]] = set()
        """Pairs of exchange and routing key under which this connection's user may publish."""
        self.health = Health(reason="")

    def connect(self) -> None:
        self.close()
        if self._patience is not None:
            self._until = time.monotonic() + self._patience
        try:
            with self._broker.failures():
                self._wire = self._broker.opened(self._topology, self._patience, frame_writer=self._frames.factory)
                with self._in_time(self._wire):
                    self._channel = self._open_channel(self._wire)
        except BaseException:
            self.close()
            raise
        self.health = changed(self.health, "")

    def _open_channel(self, wire: Wire) -> amqp.Channel:
        channel = wire.channel()
        channel.confirm_select()
        self._confirms = Confirms()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        return channel

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        wire = self._wire
        if wire is None:
            raise BrokerUnavailable(f"not connected to the broker at {self._broker.address}")
        with self._failures(wire), self._in_time(wire):
            channel = self._channel = self._channel or self._open_channel(wire)
            returned = self._returned = Returned(messages)
            with self._broker.refusals(), self._forbidden(messages, self._confirms.sent, returned):
                for run in self._runs(messages):
                    self._publish(wire, channel, run)
        self._report("")
        self._until = None
        return returned.indexes

    @contextmanager
    def _in_time(self, wire: Wire) -> Iterator[None]:
        """Limit the time if a patience is set."""
        if self._patience is None:
            yield
            return
        left = self._patience if self._until is None else self._until - time.monotonic()
        with wire.within(left, "confirmed what was published"):
            yield

    @contextmanager
    def _failures(self, wire: Wire) -> Iterator[None]:
        """Turn failures into BrokerUnavailable, whose message says if the broker is blocking its publishers."""
        try:
            with self._broker.failures():
                yield
        except BrokerUnavailable as exception:
            if wire.blocked is None or isinstance(exception, MessageNotTaken | RoutingKeyForbidden):
                raise
            raise BrokerUnavailable(self._blocked(wire.blocked)) from exception

    def _runs(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """Yield the messages in order, in runs. Each run is confirmed before the next one is sent.

        A refused routing key ends the channel, and with it the confirms of earlier messages. So the first message of
        each key is sent alone: if it is refused, all earlier messages are confirmed already, and none is repeated.
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

    def _publish(self, wire: Wire, channel: amqp.Channel, messages: Sequence[Message]) -> None:
        self._confirms.begin(time.monotonic())
        self._frames.hold()
        try:
            for message in messages:
                self._send(channel, message)
        except BaseException:
            self._frames.drop()
            raise
        self._frames.release(lambda taken: self._check(wire, 0.0, taken))
        self._confirms.moved(time.monotonic())
        while self._confirms:
            self._check(wire, STALL_CHECK_INTERVAL)
        if self._confirms.problem:
            raise MessageNotTaken(f"the broker at {self._broker.address} {self._confirms.problem}")
        if len(self._permitted) >= PERMITTED:
            self._permitted.clear()
        self._permitted.update((message.exchange, message.routing_key) for message in messages)

    def _check(self, wire: Wire, timeout: float, taken: int = 0) -> None:
        """Read what the broker has sent, and report its progress. Raises OSError to give it up.

        :param taken: bytes that the broker has accepted since the last check.
        """
        waiting = len(self._confirms)
        if timeout:
            wire.receive(timeout)
        wire.service()
        now = time.monotonic()
        if wire.blocked is not None or taken >= PROGRESS or len(self._confirms) < waiting:
            self._confirms.moved(now)
        if self._confirms.stuck(now) > STUCK:
            raise OSError(f"it has confirmed nothing for {STUCK:g} s")
        if not self._confirms:
            return
        if wire.blocked is not None:
            self._report(self._blocked(wire.blocked))
        elif self._confirms.waited(now) >= CONFIRM_LIMIT:
            self._report(
                f"the broker at {self._broker.address} has not confirmed messages for more than {CONFIRM_LIMIT:g} s"
            )
        else:
            self._report("")

    def _blocked(self, reason: str) -> str:
        return (
            f"the broker at {self._broker.address} blocks its publishers ({self._broker.said(OSError(reason))}): it has"
            " raised a memory or disk alarm, and will accept messages again when the alarm is over"
        )

    def _report(self, reason: str) -> None:
        if reason and self.health.ok:
            LOG.warning("%s", reason)
        elif not reason and not self.health.ok:
            LOG.info("the broker at %s accepts messages again", self._broker.address)
        self.health = changed(self.health, reason)

    @contextmanager
    def _forbidden(self, messages: Sequence[Message], before: int, returned: Returned) -> Iterator[None]:
        """Turn the refusal of a routing key into RoutingKeyForbidden. The next `publish` opens a new channel.

        :param before: the number of messages sent on this channel before these.
        """
        try:
            yield
        except amqp.exceptions.AccessRefused as refusal:
            _, found, rest = str(refusal.reply_text).partition(TOPIC_REFUSED)
            confirmed, waiting = self._confirms.split(before)
            if not found or not waiting:
                raise
            keys = [messages[index].routing_key for index in waiting]
            key = next((key for key in keys if _is_named(key, rest)), keys[-1])
            self._channel = None
            self._permitted = {pair for pair in self._permitted if pair[1] != key}
            raise RoutingKeyForbidden(
                f"the broker at {self._broker.address} refuses the routing key {key}: its user needs a topic permission"
                " for it (rabbitmqctl set_topic_permissions)",
                routing_key=key,
                confirmed=confirmed,
                unrouted=returned.indexes,
            ) from refusal

    def _send(self, channel: amqp.Channel, message: Message) -> None:
        self._confirms.add()
        # Not basic_publish(), which polls the socket before each message.
        arguments = (0, message.exchange, message.routing_key, message.mandatory, False)
        channel.send_method(spec.Basic.Publish, "Bssbb", arguments, Envelope(compressed(message, self._compression)))

    def consumers(self) -> int | None:
        wire = self._wire
        if wire is None:
            raise BrokerUnavailable(f"not connected to the broker at {self._broker.address}")
        with self._broker.failures():
            wire.service()
            # A broker that is blocking its publishers does not read their requests.
            return None if wire.blocked is not None else consumers(wire, self._topology.rules_engine)

    def keep_alive(self) -> None:
        if self._wire is not None:
            with self._broker.failures():
                self._wire.service()

    def close(self) -> None:
        wire, self._wire, self._channel = self._wire, None, None
        self._permitted.clear()
        if wire is not None:
            wire.drop()

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._confirms.ack(delivery_tag, multiple)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._confirms.problem = "could not accept a message"
        self._confirms.ack(delivery_tag, multiple)

    def _on_return(self, exception: Exception, exchange: str, routing_key: str, message: amqp.Message) -> None:  # noqa: ARG002
        # A return precedes the confirm of the same message.
        if self._drops_unrouted:
            self._returned.add(message.properties.get("message_id"), routing_key)
        else:
            # Reconnecting declares StackStorm's queue.
            self._confirms.problem = f"has no queue for {routing_key} on {exchange}"


def _is_named(key: str, rest: str) -> bool:
    """Return whether a refusal names a routing key. RabbitMQ truncates a long key.

    :param rest: the text after TOPIC_REFUSED.
    """
    cut = rest.removesuffix("...")
    return rest.startswith(f"{key}'") or ("'" not in cut and key.startswith(cut))
