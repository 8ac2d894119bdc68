"""The interface of all transports: publish messages durably, and receive the messages of exchanges.

Calls block. A publisher or subscription belongs to one thread, unless a method says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from st2sensor.health import Health

COMMAND = 8.0
"""Seconds that a command waits for a broker in total."""

CREATED = "st2sensor-created"
"""Header of an event's message: the time of its dispatch in microseconds since the epoch, in decimal digits."""

MICROSECONDS = 1_000_000
"""In a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message on an exchange.

    :param id: unique, and the same for repeats, so that consumers can drop duplicates.
    :param created: when it came into being, in seconds since the epoch; None for messages that are not events.
        Transports send it as the header CREATED; AMQP also as the message's timestamp, in whole seconds.
    :param mandatory: whether at least one queue must receive the message. Other messages may have no listener.
    """

    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    content_encoding: str
    id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    mandatory: bool = False
    created: float | None = None

    @property
    def created_text(self) -> str | None:
        """The value of the header CREATED; None for messages that are not events."""
        return None if self.created is None else str(max(0, int(self.created * MICROSECONDS)))


class Publisher(Protocol):
    """A connection for publishing. Methods raise BrokerUnavailable when it is lost."""

    health: Health
    """Whether the connected broker accepts messages; replaced by the publisher's thread, read by any."""

    def connect(self) -> None:
        """Connect or reconnect, and declare the exchanges and queues without which messages would be lost."""

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        """Publish messages in order; return once the broker has taken responsibility for all of them.

        Return the indexes of mandatory messages that the broker has dropped because no queue takes them, in ascending
        order. A publisher that keeps such messages raises MessageNotTaken instead.

        After BrokerUnavailable each message may or may not have been accepted: publish all of them again. Raises
        MessageRefused if the broker will never accept one of them; publish singly to find it. Raises
        RoutingKeyForbidden, which lists the confirmed messages, if the user may not publish under one routing key;
        the publisher stays connected.
        """

    def consumers(self) -> int | None:
        """Return the number of consumers of the rules engine's queue; None where it is unknown."""

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats. Call it at least once a second while there is nothing to publish."""

    def close(self) -> None:
        """Disconnect; never raises."""


class Subscription(Protocol):
    """Receives messages that are published to certain exchanges after `connect`. Methods raise BrokerUnavailable."""

    def connect(self) -> None:
        """Connect or reconnect. Messages that are published from now on are received."""

    def receive(self, timeout: float) -> list[Message]:
        """Wait up to `timeout` seconds for messages. Return an empty list when there are none."""

    def close(self) -> None:
        """Disconnect; never raises."""


class Transport(Protocol):
    """Makes publishers and subscriptions for one broker."""

    address: str
    """The broker's address without passwords, for people."""

    def publisher(self, patience: float | None = None) -> Publisher:
        """Return a publisher that is not connected yet.

        :param patience: seconds that connecting and the first `publish` may take together, and each further `publish`;
            None to wait as long as the broker shows that it is alive.
        """

    def subscription(self, exchanges: Sequence[str]) -> Subscription:
        """Return a subscription to every routing key of the given exchanges. It is not connected yet."""
