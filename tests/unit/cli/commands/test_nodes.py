"""`st2sensor nodes`, rendered from members and leases."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from st2sensor.cli.commands.nodes import print_nodes, rows_of
from st2sensor.models import Lease, Member
from st2sensor.sharing.overview import Overview

NOW = time.time()
MEMBERS = (
    Member(id="1", node="a", host="host-a", version="1.0", started=NOW, seen=NOW, labels=("dmz", "gpu")),
    Member(id="2", node="b", host="host-b", version="1.0", started=NOW, seen=NOW, capacity=2.5, dead=True),
)
OVERVIEW = Overview(
    members=MEMBERS,
    drained=frozenset({"c"}),
    leases={"p.S": Lease(sensor="p.S", holder="1", fence=3), "p.Gone": Lease(sensor="p.Gone", holder="1", fence=1)},
)
WANTED = {"p.S": (), "p.T": ()}


def printed(width: int, overview: Overview = OVERVIEW, unheld: dict[str, str] | None = None) -> list[str]:
    stream = io.StringIO()
    out = Console(file=stream, width=width, highlight=False, markup=False)
    print_nodes(out, rows_of(overview, WANTED, NOW), len(WANTED), unheld or {}, overview.drained)
    return stream.getvalue().splitlines()


def test_a_node_is_a_line_and_only_wanted_sensors_count() -> None:
    head, one, other, count, absent = printed(200)
    assert head.split() == [
        *("node", "host", "state", "sensors", "capacity", "labels", "lease", "version", "up", "since", "last", "seen")
    ]
    assert one.split()[:10] == ["a", "host-a", "up", "1", "of", "2", "1", "dmz,", "gpu", "10"]
    assert other.split()[:7] == ["b", "host-b", "dead", "0", "of", "2", "2.5"]
    assert count == "2 nodes"
    assert absent == "drained, but absent: c"


@pytest.mark.parametrize("width", [80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    shown = printed(width, unheld={f"pack.Sensor{number}": "no node has the label x" for number in range(20)})
    assert max(map(len, shown)) <= width
    text = " ".join(shown)
    assert "no node runs 20 sensors, pack.Sensor0, pack.Sensor1, pack.Sensor10 and 17 more:" in " ".join(text.split())


def test_without_nodes_there_is_no_table() -> None:
    assert printed(80, Overview(members=(), drained=frozenset(), leases={})) == ["0 nodes"]
