"""The targets to which commands publish events."""

from __future__ import annotations

from dataclasses import dataclass, replace

from st2sensor.errors import ConfigError
from st2sensor.settings import Messaging
from st2sensor.transport.base import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A queue, or an exchange with a routing key.

    :param exchange: empty for a queue: AMQP's default exchange takes the queue's name as routing key.
    """

    exchange: str
    routing_key: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.routing_key}" if self.exchange else self.routing_key

    def addressed(self, message: Message) -> Message:
        """Return a copy of a message that is addressed to this target."""
        return replace(message, exchange=self.exchange, routing_key=self.routing_key)


def target_of(text: str, messaging: Messaging) -> Target:
    """Return the target that QUEUE or EXCHANGE:KEY names. Raises ConfigError."""
    exchange, colon, key = text.partition(":")
    if not text or (colon and not (exchange and key)):
        raise ConfigError(f"--to {text!r}: write the name of a queue, or EXCHANGE:KEY")
    if not colon and messaging.local_path is not None and any(url.startswith("local:") for url in messaging.urls):
        raise ConfigError(f"--to {text}: local:// has no queues; write EXCHANGE:KEY")
    return Target(exchange=exchange, routing_key=key) if colon else Target(exchange="", routing_key=text)
