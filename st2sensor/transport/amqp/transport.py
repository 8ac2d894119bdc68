"""Makes publishers and subscriptions to one AMQP broker, or to the members of one cluster."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.transport.amqp.connection import address
from st2sensor.transport.amqp.consumer import AmqpSubscription
from st2sensor.transport.amqp.publisher import AmqpPublisher
from st2sensor.transport.topology import Topology


class AmqpTransport:
    """:param urls: brokers to try in order."""

    def __init__(self, urls: Sequence[str], topology: Topology) -> None:
        self._urls = tuple(urls)
        self._topology = topology
        self.address = address(self._urls)

    def publisher(self) -> AmqpPublisher:
        return AmqpPublisher(self._urls, self._topology)

    def subscription(self, exchanges: Sequence[str]) -> AmqpSubscription:
        return AmqpSubscription(self._urls, self._topology, exchanges)
