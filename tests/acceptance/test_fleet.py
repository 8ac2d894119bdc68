"""The harness of tests/fleet, with containers in network namespaces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.fleet.checker import Run, check
from tests.fleet.fleet import ready
from tests.fleet.ledger import now
from tests.fleet.network import available
from tests.fleet.servers import Servers, running
from tests.servers import mongodb, rabbitmq
from tests.servers.waiting import eventually


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    if not available():
        missing("no network namespaces: run as root, with iproute2")
    if mongodb.executable() is None or rabbitmq.executable() is None:
        missing("no mongod or no RabbitMQ")
    with (
        tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name,
        running(Path(name), ["c1", "c2", "c3"]) as started,
    ):
        yield started


def test_nothing_is_lost_or_repeated_while_the_database_is_cut_off(folder: Path, servers: Servers) -> None:
    with ready(folder / "w", servers, sensors=4, provider="name:default") as fleet:
        node = fleet.nodes["c1"]
        node.start()
        fleet.wait_until_all_count()
        begin = now()

        servers.network.cut("c1", "db")
        cut = now()
        # Longer than a datastore call takes to notice.
        eventually("a while has passed", lambda: now() > cut + 5)
        servers.network.heal("c1", "db")
        fleet.wait_until_all_count()

        end = now()
        assert node.stop() == 0
        records, lines = fleet.ledger.records(), fleet.journal.lines()
        run = Run(records=records, lines=lines, observed=(begin, end), gap=20, in_flight=2, excused=[(cut, end)])
        assert check(run, fleet.sensors) == []
        assert {record.fence for record in records} == {None}
