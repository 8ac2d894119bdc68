"""The servers of a fleet, each in its namespace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.network import Network
from tests.fleet.replica_set import ReplicaSet
from tests.support.servers.rabbitmq import RabbitMQ

# The user guest does not connect from loopback.
RABBITMQ_CONFIG = "loopback_users = none\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    network: Network
    replica_set: ReplicaSet
    rabbitmq: RabbitMQ


@contextmanager
def running(folder: Path, containers: Sequence[str]) -> Iterator[Servers]:
    """A context manager: servers, and namespaces for a number of containers. Requires `network.available`."""
    with Network(containers) as network:
        broker = folder / "rabbitmq"
        broker.mkdir()
        address = network.addresses("mq", 1)[0]
        rabbitmq = RabbitMQ(broker, RABBITMQ_CONFIG, within=network.within("mq"), address=address)
        replica_set = ReplicaSet(folder, network)
        try:
            rabbitmq.start()
            replica_set.start()
            yield Servers(network=network, replica_set=replica_set, rabbitmq=rabbitmq)
        finally:
            replica_set.stop()
            rabbitmq.stop()
