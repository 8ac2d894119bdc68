"""Makes publishers and subscriptions for one AMQP broker, or for the members of one cluster."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.settings import Messaging
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.consumer import AmqpSubscription
from st2sensor.transport.amqp.publisher import AmqpPublisher
from st2sensor.transport.topology import Topology


class AmqpTransport:
    """Makes publishers and subscriptions.

    :param compression: the compression method for trigger instances' bodies; None for no compression.
    :param drops_unrouted: whether the broker may drop messages that no queue takes; publishers report them.
    """

    def __init__(
        self, broker: Broker, topology: Topology, compression: str | None = None, *, drops_unrouted: bool = False
    ) -> None:
        self._broker = broker
        self._compression = compression
        self._topology = topology
        self._drops_unrouted = drops_unrouted
        self.address = broker.address

    def publisher(self, patience: float | None = None) -> AmqpPublisher:
        return AmqpPublisher(
            self._broker, self._topology, self._compression, patience, drops_unrouted=self._drops_unrouted
        )

    def subscription(self, exchanges: Sequence[str]) -> AmqpSubscription:
        return AmqpSubscription(self._broker, self._topology, exchanges)


def open_transport(settings: Messaging) -> AmqpTransport:
    """Return the configured transport. Nothing is connected yet. Raises ConfigError."""
    broker = Broker(urls=settings.urls, tls=settings.tls, login_method=settings.login_method)
    topology = Topology(settings.prefix, feeds_stackstorm=settings.serializer == "pickle")
    return AmqpTransport(broker, topology, settings.compression, drops_unrouted=settings.unrouted == "settle")
