"""What every transport does: publish messages durably, and hand the messages of exchanges to a reader.

Calls block; a publisher or subscription belongs to one thread, save where a method says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from st2sensor.health import Health

COMMAND = 8.0
"""Seconds that a command waits for a broker, all in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What travels over an exchange.

    :param id: unique and stable over repeats, for a consumer that drops duplicates.
    :param mandatory: whether it is lost when no queue takes it; otherwise nobody may be listening.
    """

    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    content_encoding: str
    id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    mandatory: bool = False


class Publisher(Protocol):
    """One connection that messages leave by. Methods raise BrokerUnavailable when it is lost."""

    health: Health
    """Whether a broker that is connected to takes messages; replaced by the publisher's thread, read by any."""

    def connect(self) -> None:
        """Connect again, and declare what must exist so that nothing published is lost."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish in order; returns once the broker has taken responsibility for every message.

        After BrokerUnavailable each message may or may not have been taken: publish all of them again. Raises
        MessageRefused when the broker will never take one of them; then it has to be found by publishing them singly.
        Raises RoutingKeyForbidden, which says what was confirmed, when the user may not publish under one routing key;
        the publisher stays connected.
        """

    def consumers(self) -> int | None:
        """How many take messages from the rules engine's queue; None where that cannot be told."""

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; call at least every second while there is nothing to publish."""

    def close(self) -> None:
        """Disconnect; never raises."""


class Subscription(Protocol):
    """Messages published to some exchanges from `connect` on. Methods raise BrokerUnavailable."""

    def connect(self) -> None:
        """Connect again; messages published from now on are seen."""

    def receive(self, timeout: float) -> list[Message]:
        """Wait up to `timeout` seconds for messages; an empty list when there were none."""

    def close(self) -> None:
        """Disconnect; never raises."""


class Transport(Protocol):
    """Makes publishers and subscriptions to one broker."""

    address: str
    """The broker's address, without a password, for messages to people."""

    def publisher(self, patience: float | None = None) -> Publisher:
        """A publisher, not connected yet.

        :param patience: seconds that connecting and the first `publish` may take together, and each further `publish`;
            None waits for as long as the broker shows that it is alive.
        """

    def subscription(self, exchanges: Sequence[str]) -> Subscription:
        """A subscription to every routing key of some exchanges, not connected yet."""
