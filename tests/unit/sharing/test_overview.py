from __future__ import annotations

from dataclasses import replace

import pytest

from st2sensor.models import Lease, Member
from st2sensor.sharing.overview import DEAD, DRAINED, LEAVING, SILENT, UP, Overview
from st2sensor.sharing.times import times_of

MEMBER = Member(id="1", node="a", started=10.0, seen=100.0, lease=10.0, labels=("gpu",))
SILENCE = times_of(10.0).silence


def overview(*members: Member, drained: str = "", leases: tuple[Lease, ...] = ()) -> Overview:
    return Overview(members=members, drained=frozenset(drained.split()), leases={item.sensor: item for item in leases})


@pytest.mark.parametrize(
    ("member", "drained", "now", "state"),
    [
        (MEMBER, "", None, UP),
        (MEMBER, "", 100.0 + SILENCE - 0.1, UP),
        (MEMBER, "", 100.0 + SILENCE, SILENT),
        (MEMBER, "a", None, DRAINED),
        (replace(MEMBER, leaving=True), "a", None, LEAVING),
        (replace(MEMBER, leaving=True), "", 100.0 + SILENCE, SILENT),
        (replace(MEMBER, dead=True, leaving=True), "a", 100.0 + SILENCE, DEAD),
    ],
)
def test_the_gravest_state_of_a_node_is_shown(member: Member, drained: str, now: float | None, state: str) -> None:
    assert overview(member, drained=drained).state_of(member, now) == state


def test_a_dead_member_is_shown_while_it_holds_a_lease_or_is_the_newest_of_its_node() -> None:
    again = replace(MEMBER, id="2", started=20.0)
    dead = replace(MEMBER, dead=True)
    alone = replace(MEMBER, id="3", node="b", dead=True)
    assert [member.id for member in overview(alone, again, dead).nodes()] == ["2", "3"]
    held = Lease(sensor="p.S", holder="1", fence=1)
    assert [member.id for member in overview(alone, again, dead, leases=(held,)).nodes()] == ["1", "2", "3"]
    # A living member represents its node even if a dead member was started later.
    late = replace(dead, id="4", started=30.0)
    assert [member.id for member in overview(again, late).nodes()] == ["2"]


def test_a_sensor_of_a_dead_member_is_held_by_nobody() -> None:
    leases = (Lease(sensor="p.S", holder="1", fence=1), Lease(sensor="p.T", fence=2))
    assert overview(MEMBER, leases=leases).holder("p.S") == MEMBER
    assert overview(replace(MEMBER, dead=True), leases=leases).holder("p.S") is None
    assert overview(MEMBER, leases=leases).holder("p.T") is None
    assert overview(MEMBER).holder("p.S") is None


def test_why_nobody_holds_a_sensor() -> None:
    other = Member(id="2", node="b")
    assert overview(replace(MEMBER, leaving=True)).why_nobody(()) == "no node is up"
    assert overview(MEMBER, other).why_nobody(("gpu", "dmz")) == "no node has the labels dmz"
    # Each label exists, but no node has both.
    assert overview(MEMBER, other).why_nobody(("gpu", "b")) == "no node has the labels gpu, b"
    assert overview(MEMBER, other, drained="a").why_nobody(("gpu",)) == "all nodes that may run it are drained: a"
    assert overview(MEMBER, other, drained="a").why_nobody(()) == "no node has taken it yet"


def test_a_drained_node_may_run_nothing() -> None:
    assert overview(MEMBER).may_run(("gpu", "a"))
    assert not overview(MEMBER, drained="a").may_run(("gpu",))
    assert not overview(MEMBER).may_run(("dmz",))
