from __future__ import annotations

from st2sensor.models import Lease, Member
from st2sensor.sharing.lease_view import LeaseView

ONE, TWO = Member(id="1", node="one"), Member(id="2", node="two")
DEAD = Member(id="0", node="zero", dead=True)
WANTED: dict[str, tuple[str, ...]] = {"p.A": (), "p.B": (), "p.C": ()}


def view_of(*leases: Lease, members: tuple[Member, ...] = (ONE,)) -> LeaseView:
    view = LeaseView()
    view.see_members(members, frozenset())
    view.see_leases(leases, WANTED)
    view.find_free()
    return view


def test_only_a_change_of_the_members_that_may_run_sensors_is_one() -> None:
    view = LeaseView()
    assert view.see_members([ONE], frozenset())
    assert not view.see_members([ONE, DEAD, Member(id="2", node="two", leaving=True)], frozenset())
    assert view.see_members([ONE, TWO], frozenset())
    assert view.see_members([ONE, TWO], frozenset({"two"}))
    assert view.dead == frozenset()
    assert [candidate.id for candidate in view.placement.candidates] == ["1"]


def test_leases_of_nobody_of_the_dead_and_those_never_taken_are_free() -> None:
    view = view_of(
        Lease(sensor="p.A", holder="0", fence=4),
        Lease(sensor="p.B", holder=None, fence=2),
        Lease(sensor="p.D", holder="1", fence=1),
        members=(ONE, DEAD),
    )
    assert view.free.keys() == {"p.A", "p.B", "p.C"}
    assert view.free["p.C"] == Lease(sensor="p.C")
    assert view.held_by("1") == {"p.D": 1}


def test_a_holder_that_is_no_member_is_a_stranger_and_counts_as_dead_only_while_it_stays_one() -> None:
    view = view_of(Lease(sensor="p.A", holder="2", fence=1))
    assert view.strangers() == {"2"}
    assert "p.A" in view.free
    assert view.dead == {"2"}
    view.see_members([ONE, TWO], frozenset())
    view.find_free()
    assert not view.strangers()
    assert "p.A" not in view.free


def test_free_leases_that_are_gone_were_taken_by_another_unless_this_member_holds_them() -> None:
    gone = Lease(sensor="p.A", fence=1)
    view = view_of(gone)
    assert not view.see_free_leases([gone], set())
    assert not view.see_free_leases([], {"p.A"})
    view = view_of(gone)
    assert view.see_free_leases([], {"p.B"})
    # Leases that were never taken have no document to read.
    assert view.free.keys() == {"p.B", "p.C"}


def test_a_member_takes_the_wanted_free_leases_that_are_placed_on_it_and_have_no_process_here() -> None:
    view = view_of(Lease(sensor="p.D", fence=1))
    assert [lease.sensor for lease in view.due("1", WANTED, {"p.B"})] == ["p.A", "p.C"]
    assert view.due("2", WANTED, ()) == []
    needy = {**WANTED, "p.A": ("gpu",)}
    assert "p.A" not in {lease.sensor for lease in view.due("1", needy, ())}


def test_taken_leases_are_free_no_more_and_those_of_the_dead_are_counted() -> None:
    view = view_of(Lease(sensor="p.A", holder="0", fence=4), members=(ONE, DEAD))
    taken = [Lease(sensor="p.A", holder="1", fence=5), Lease(sensor="p.B", holder="1", fence=1)]
    assert view.take(taken) == 1
    assert view.held_by("1") == {"p.A": 5, "p.B": 1}
    assert view.free.keys() == {"p.C"}


def test_released_leases_keep_their_fence() -> None:
    view = view_of(Lease(sensor="p.A", holder="1", fence=7))
    view.release({"p.A": 7})
    assert view.free["p.A"] == view.leases["p.A"] == Lease(sensor="p.A", fence=7)
