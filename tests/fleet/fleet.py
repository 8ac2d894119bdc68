"""Containers that share the sensors of a pack, and the records about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from st2sensor.transport.topology import Topology
from tests.fleet.ledger import Ledger, now
from tests.fleet.node import Node
from tests.fleet.pack import TRIGGER, Journal, add_sensors
from tests.fleet.servers import Servers
from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """:param sensors: their references; :param nodes: by name."""

    sensors: list[str]
    nodes: dict[str, Node]
    journal: Journal
    ledger: Ledger

    def wait_until_all_count(self, timeout: float = LATER) -> None:
        """Wait until an event that each sensor has dispatched after this moment has arrived."""
        began, arrived = now(), len(self.ledger.records())

        def counted() -> bool:
            fresh = {record.sensor for record in self.ledger.records(arrived) if record.at > began}
            return fresh == set(self.sensors)

        eventually("all sensors count", counted, timeout)

    def stop(self) -> None:
        """Stop all containers, and wait until every accepted event has arrived."""
        codes = {name: node.stop() for name, node in self.nodes.items()}
        accepted = {(line.sensor, line.n) for line in self.journal.lines() if line.event == "accepted"}

        def missing() -> set[tuple[str, int | None]]:
            return accepted - {(record.sensor, record.n) for record in self.ledger.records()}

        assert set(codes.values()) == {0}, f"exit codes: {codes}"
        eventually("all accepted events have arrived", lambda: not missing(), timeout=LATER)


@contextmanager
def ready(
    folder: Path, servers: Servers, *, sensors: int, lease: float = 5, provider: str = "name:shared"
) -> Iterator[Fleet]:
    """A fleet of one container for each namespace, none of them started, with a number of sensors registered."""
    folder.mkdir()
    workspace = Workspace(folder, database=servers.replica_set.url, messaging=servers.rabbitmq.url)
    names = servers.network.containers
    nodes = {name: Node(workspace, servers.network, name, lease=lease, provider=provider) for name in names}
    journal = Journal(folder / "journal")
    try:
        refs = add_sensors(workspace, sensors, journal)
        with Ledger(servers.rabbitmq.url, Topology(workspace.prefix).dispatch, TRIGGER) as ledger:
            yield Fleet(sensors=refs, nodes=nodes, journal=journal, ledger=ledger)
    finally:
        workspace.close()
