"""Containers that share sensors, with a clock that stands still unless a test moves it. The leases are real."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from st2sensor.errors import LeaseLost, StorageUnavailable
from st2sensor.models import Lease, Member, Renewal
from st2sensor.sharing.clocks import Moment
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.participant import Participant, TurnInput, TurnResult
from st2sensor.sharing.times import times_of
from st2sensor.storage.sqlite import SqliteLeases
from st2sensor.storage.sqlite.connection import Connection

T = TypeVar("T")

LEASE = 12.0
TIMES = times_of(LEASE)
WANTED: dict[str, tuple[str, ...]] = {f"p.S{number}": () for number in range(40)}


class Away(SqliteLeases):
    """A database that can be away."""

    is_away = False

    loses_answer = False
    """Whether the next renewal is carried out, but not answered."""

    loses_change = False
    """Whether the next taking or release of leases is carried out, but not answered."""

    reads = 0
    """Number of times that all leases were read."""

    def leases(self, holder: str | None = None) -> list[Lease]:
        self.reads += holder is None
        return super().leases(holder)

    def free(self, dead: Collection[str]) -> list[Lease]:
        reads = self.reads
        found = super().free(dead)
        self.reads = reads
        return found

    def take(self, due: Sequence[Lease], member: str) -> list[Lease]:
        return self._answer(super().take(due, member))

    def release(self, fences: Mapping[str, int], member: str) -> None:
        self._answer(super().release(fences, member))

    def _answer(self, answer: T) -> T:
        if self.loses_change:
            self.loses_change = False
            raise StorageUnavailable("away", uncertain=True)
        return answer

    def renew(self, member: str, renewal: Renewal) -> bool:
        if self.is_away:
            raise StorageUnavailable("away")
        done = super().renew(member, renewal)
        if self.loses_answer:
            self.loses_answer = False
            raise StorageUnavailable("away", uncertain=True)
        return done


class Node:
    """A container whose sensors start and stop immediately when it takes a turn."""

    def __init__(self, world: World, name: str, folder: Path, **profile: object) -> None:
        self.world = world
        self.name = name
        self.clock: Callable[[], float] = lambda: world.now
        self.uncounted = 0.0
        """Seconds of pauses that its boot clock has missed."""
        self.set_by = 0.0
        """Seconds by which its wall clock was set forward."""
        self.leases = Away(Connection(folder / "st2.db"))
        self.holdings = HeldLeases(self.moment)
        self.settled = 0
        self.disk_answers = True
        (folder / name).mkdir(exist_ok=True)
        member = Member(id="", node=name, lease=LEASE, **profile)  # type: ignore[arg-type]
        self.participant = Participant(
            self.leases,
            member,
            self.holdings,
            Identity(folder / name / "member.json"),
            moves_at_once=5,
            settle=self._settle,
            clock=self.moment,
        )
        self.view = TurnResult()
        self.leaving = False
        self.running: set[str] = set()
        self.stubborn: set[str] = set()
        """Sensors that do not stop."""

    def moment(self) -> Moment:
        return Moment(self.clock() - self.uncounted, self.clock() + self.set_by)

    def turn(self, wanted: dict[str, tuple[str, ...]] | None = None) -> TurnResult:
        situation = TurnInput(
            wanted=WANTED if wanted is None else wanted, busy=frozenset(self.running), leaving=self.leaving
        )
        self.view = self.participant.turn(situation)
        may_run = set() if self.leaving else self.holdings.fences.keys() - self.view.moving
        self.running = (self.running & self.stubborn) | {ref for ref in may_run if ref in situation.wanted}
        return self.view

    def _settle(self) -> bool:
        self.settled += 1
        return self.disk_answers


class World:
    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.folder = folder
        self.nodes: list[Node] = []

    def node(self, name: str, **profile: object) -> Node:
        self.nodes.append(Node(self, name, self.folder, **profile))
        return self.nodes[-1]

    def turns(self, *nodes: Node, seconds: float = 0.0) -> None:
        """Let the nodes take turns as often as they request, and a last one at the end."""
        until = self.now + seconds
        while True:
            wait = min(node.turn().wait for node in nodes)
            assert not self.doubles()
            if self.now >= until:
                return
            self.now = min(until, self.now + max(0.001, wait))

    def doubles(self) -> set[str]:
        """Return the sensors for which two nodes may act at this moment."""
        acting = [
            {ref for ref, fence in n.holdings.fences.items() if n.holdings.is_held(ref, fence)} for n in self.nodes
        ]
        return {ref for held in acting for ref in held if sum(ref in other for other in acting) > 1}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for node in made.nodes:
        node.leases.close()


def held(node: Node) -> set[str]:
    return set(node.holdings.fences)


def test_a_container_alone_takes_everything_at_once(world: World) -> None:
    one = world.node("one")
    one.turn()
    assert one.running == WANTED.keys()


def test_a_newcomer_sees_at_once_who_holds_the_sensors(world: World) -> None:
    world.node("one").turn()
    view = world.node("two").turn({})
    assert view.leases.keys() == WANTED.keys()
    assert (view.takeovers, view.moves, view.losses) == (0, 0, 0)


def test_all_leases_are_read_once_in_a_lease_time_and_when_members_or_sensors_are_new(world: World) -> None:
    one = world.node("one")
    world.turns(one)
    before = one.leases.reads
    world.turns(one, seconds=3.5 * LEASE)
    assert one.leases.reads - before == 3
    before = one.leases.reads
    one.turn({**WANTED, "p.New": ()})
    assert one.leases.reads - before == 1
    assert "p.New" in held(one)
    world.node("two").turn({})
    one.turn()
    assert one.leases.reads - before == 2


def test_sensors_that_were_taken_without_an_answer_are_held_in_the_next_turn(world: World) -> None:
    one = world.node("one")
    one.turn({})
    one.leases.loses_change = True
    with pytest.raises(StorageUnavailable):
        one.turn({"p.S": ()})
    assert not held(one)
    takes: list[object] = []
    one.leases.take = lambda due, _: takes.append(due) or []  # type: ignore[assignment, func-returns-value, method-assign]
    one.turn({"p.S": ()})
    assert one.holdings.fences == {"p.S": 1}
    assert takes == []


def test_a_release_without_an_answer_is_not_used_again_and_repeated_only_if_it_was_not_made(world: World) -> None:
    one = world.node("one")
    one.turn({"p.S": ()})
    one.running = set()
    one.leases.loses_change = True
    with pytest.raises(StorageUnavailable):
        one.turn({})
    assert not held(one)
    released: list[object] = []
    one.leases.release = lambda fences, _: released.append(dict(fences))  # type: ignore[assignment, method-assign]
    one.turn({})
    assert released == []
    del one.leases.release
    # This time it is not made, and must be.
    one.turn({"p.S": ()})
    assert one.holdings.fences == {"p.S": 2}
    one.running = set()

    def fail(fences: Mapping[str, int], _: str) -> None:
        released.append(dict(fences))
        raise StorageUnavailable("away")

    one.leases.release = fail  # type: ignore[assignment, method-assign]
    with pytest.raises(StorageUnavailable):
        one.turn({})
    del one.leases.release
    one.turn({"p.Other": ()})
    assert one.holdings.fences == {"p.Other": 1}
    assert [lease.holder for lease in one.leases.leases() if lease.sensor == "p.S"] == [None]
    assert released == [{"p.S": 2}]


def test_a_lease_that_is_gone_from_the_database_is_not_held_any_longer(world: World) -> None:
    one = world.node("one")
    one.turn({"p.S": ()})
    (member,) = one.view.members
    one.leases.release({"p.S": 1}, member.id)
    one.stubborn = {"p.S"}
    world.now += LEASE * 0.5
    one.turn({})
    world.now += LEASE * 0.5
    one.turn({})
    assert not held(one)


def test_the_sensors_of_a_dead_member_are_taken_in_the_turn_that_finds_it_dead(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    one.turn()
    two.turn()
    while not any(member.dead for member in two.view.members):
        world.now += TIMES.tick
        two.turn()
    assert held(two) == WANTED.keys()
    assert two.view.takeovers == len(WANTED)


def test_two_that_start_together_share_without_a_move(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    for node in (one, two):
        node.turn({})
    world.turns(one, two)
    assert held(one) | held(two) == WANTED.keys()
    assert 10 < len(held(one)) < 30
    before = held(one)
    world.turns(one, two, seconds=5 * LEASE)
    assert held(one) == before


def test_a_newcomer_is_given_its_share_only_when_it_has_been_calm_for_a_lease(world: World) -> None:
    one = world.node("one")
    one.turn()
    two = world.node("two")
    world.turns(one, two, seconds=LEASE * 0.9)
    assert not held(two)
    world.turns(one, two, seconds=LEASE * 0.5)
    assert 10 < len(held(two)) < 30
    assert held(one) | held(two) == WANTED.keys()


def test_members_that_come_and_go_move_nothing(world: World) -> None:
    one = world.node("one")
    one.turn()
    for number in range(6):
        visitor = world.node(f"visitor{number}")
        world.turns(one, visitor, seconds=LEASE * 0.5)
        visitor.leaving = True
        visitor.turn()
        visitor.participant.close()
        world.nodes.remove(visitor)
        world.turns(one, seconds=LEASE * 0.2)
        assert one.running == WANTED.keys()


def test_only_so_many_are_moved_at_once_and_announced_before(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    one.turn()
    two.leases.drain("two", True)
    world.turns(one, two)
    two.leases.drain("two", False)
    while not any(member.handing for member in two.view.members):
        assert not one.view.moving
        world.turns(one, two, seconds=TIMES.tick / 4)
    assert not one.turn().moving
    world.now += TIMES.tick * 1.5
    assert len(one.turn().moving) == 5
    assert held(one) == WANTED.keys()
    assert len(one.turn().moving) == 5
    assert len(held(one)) == len(WANTED) - 5
    assert two.turn().wait <= 0.05
    assert len(held(two)) == 5


def test_a_sensor_that_does_not_stop_is_not_released(world: World) -> None:
    one = world.node("one")
    one.turn()
    one.stubborn = set(WANTED)
    two = world.node("two")
    world.turns(one, two, seconds=4 * LEASE)
    assert held(one) == WANTED.keys()
    assert not held(two)
    assert len(one.view.moving) == 5


def test_what_was_dispatched_is_on_disk_before_a_lease_is_released(world: World) -> None:
    one = world.node("one")
    one.turn()
    one.leaving = True
    one.turn()
    settled_early = one.settled
    one.turn()
    assert (settled_early, one.settled) == (0, 1)
    assert not held(one)


def test_a_lease_is_held_until_what_was_dispatched_is_on_disk(world: World) -> None:
    one = world.node("one")
    one.turn({"p.S": ()})
    one.disk_answers = False
    for _ in range(3):
        one.turn({})
    assert held(one) == {"p.S"}
    one.disk_answers = True
    one.turn({})
    assert not held(one)


def test_a_look_that_takes_long_is_followed_by_a_renewal(world: World) -> None:
    one = world.node("one")
    one.turn()
    members = one.leases.members
    extended: list[float] = []

    def slowly() -> list[Member]:
        world.now += TIMES.term / 2
        return members()

    one.leases.members = slowly  # type: ignore[method-assign]
    situation = TurnInput(wanted=WANTED, busy=frozenset(one.running))
    one.participant.turn(situation, lambda: extended.append(one.holdings.end.boot))
    assert extended == [world.now + TIMES.term]


def test_who_starts_again_is_never_without_a_member_for_others_to_see(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    for node in (one, two):
        node.turn({})
    world.turns(one, two)
    mine = held(one)
    again = world.node("one")
    world.nodes.remove(one)
    evict = again.leases.evict

    def watched(member: str, counter: int | None) -> bool:
        two.turn()
        done = evict(member, counter)
        two.turn()
        return done

    again.leases.evict = watched  # type: ignore[method-assign]
    again.turn()
    assert held(again) == mine


def test_a_dead_member_s_sensors_are_taken_within_its_lease_and_not_before_its_term(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    for node in (one, two):
        node.turn({})
    world.turns(one, two)
    died_at = world.now
    while held(two) != WANTED.keys():
        world.turns(two)
        world.now += max(0.001, min(two.view.wait, 0.1))
    assert TIMES.term < world.now - died_at < LEASE * 0.9
    with pytest.raises(LeaseLost):
        one.holdings.fence_of(next(iter(held(one))))


def test_one_that_was_paused_finds_itself_dead_holds_nothing_and_joins_again(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    for node in (one, two):
        node.turn({})
    world.turns(one, two)
    lost = held(one)
    world.turns(two, seconds=LEASE)
    assert lost <= held(two)
    assert one.turn().evicted
    assert not held(one) & lost
    world.turns(one, two, seconds=2 * LEASE)
    assert held(one) == lost
    assert {one.holdings.fences[ref] for ref in lost} == {3}


def test_a_late_renewal_wins_against_an_eviction_that_was_not_made_yet(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    mine = held(one)
    world.now += TIMES.silence * 0.99
    two.turn()
    one.turn()
    world.now += TIMES.silence * 0.02
    world.turns(two, one)
    assert held(one) == mine


def test_a_clock_that_runs_slow_within_the_margin_does_no_harm(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    start = world.now
    one.clock = lambda: start + (world.now - start) * 0.85
    world.turns(two, seconds=LEASE)
    assert held(two) == WANTED.keys()
    assert not world.doubles()


def test_while_the_database_is_away_holders_hold_until_their_term_is_over(world: World) -> None:
    one = world.node("one")
    one.turn()
    one.leases.is_away = True
    renewed_at = world.now
    world.now += TIMES.term - 0.01
    with pytest.raises(StorageUnavailable):
        one.turn()
    assert one.holdings.is_held("p.S1", 1)
    world.now = renewed_at + TIMES.term
    with pytest.raises(LeaseLost):
        one.holdings.fence_of("p.S1")
    one.leases.is_away = False
    one.turn()
    assert one.holdings.is_held("p.S1", 1)


def test_a_container_that_starts_again_after_a_crash_does_not_wait_for_its_own_lease(world: World) -> None:
    one = world.node("one")
    one.turn()
    again = world.node("one")
    world.nodes.remove(one)
    again.turn()
    assert held(again) == WANTED.keys()
    assert set(again.holdings.fences.values()) == {2}


def test_a_copy_of_a_state_directory_is_nobody_s_earlier_life(tmp_path: Path) -> None:
    original = Identity(tmp_path / "member.json")
    original.note(["m1"])
    assert original.earlier() == ["m1"]
    copy = tmp_path / "copy.json"
    copy.write_bytes((tmp_path / "member.json").read_bytes())
    assert Identity(copy).earlier() == []
    assert Identity(tmp_path / "nothing.json").earlier() == []


def test_a_drained_node_gives_everything_away_without_waiting_and_takes_nothing(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    one.leases.drain("one", True)
    world.turns(one, two, seconds=LEASE)
    assert not held(one)
    assert held(two) == WANTED.keys()
    one.leases.drain("one", False)
    world.turns(one, two, seconds=3 * LEASE)
    assert held(one)


def test_labels_decide_who_may_run_a_sensor(world: World) -> None:
    one, two = world.node("one"), world.node("two", labels=("gpu",))
    wanted: dict[str, tuple[str, ...]] = {"p.G": ("gpu",), "p.X": ("gpu", "fpga"), "p.N": ("one",)}
    for node in (one, two, one, two):
        node.turn(wanted)
    assert held(two) == {"p.G"}
    assert held(one) == {"p.N"}


def test_a_node_that_may_not_run_a_sensor_any_more_stops_it_at_once(world: World) -> None:
    one = world.node("one")
    one.turn({"p.S": ()})
    assert held(one) == {"p.S"}
    for _ in range(4):
        one.turn({"p.S": ("gpu",)})
    assert not held(one)


def test_capacity_decides_how_many(world: World) -> None:
    wanted: dict[str, tuple[str, ...]] = {f"p.S{number}": () for number in range(400)}
    one, two = world.node("one", capacity=1.0), world.node("two", capacity=3.0)
    for node in (one, two):
        node.turn({})
    for node in (one, two):
        node.turn(wanted)
    assert 60 < len(held(one)) < 140
    assert len(held(one)) + len(held(two)) == 400


def test_a_sensor_that_is_not_wanted_any_more_is_released_with_its_fence_kept(world: World) -> None:
    one = world.node("one")
    one.turn({"p.S": ()})
    one.turn({})
    one.turn({})
    assert not held(one)
    one.turn({"p.S": ()})
    assert one.holdings.fences == {"p.S": 2}


def test_of_two_of_one_name_one_takes_everything_and_both_say_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.folder / "elsewhere").mkdir()
    one = world.node("one", host="h1")
    one.turn()
    (world.folder / "one" / "member.json").unlink()
    namesake = world.node("one", host="h2")
    world.turns(one, namesake, seconds=3 * LEASE)
    assert {len(held(one)), len(held(namesake))} == {0, len(WANTED)}
    assert "another container, on host h1, uses the same node name one, so one of them gets no sensors" in caplog.text
    assert caplog.text.count("another container, on host h1") == 1


def test_the_dead_are_forgotten_after_a_long_time(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    world.turns(two, seconds=2 * LEASE)
    assert [member.node for member in two.view.members if member.dead] == ["one"]
    world.turns(two, seconds=62 * LEASE)
    assert [member.node for member in two.view.members] == ["two"]


def test_the_dead_are_forgotten_also_when_they_held_what_nobody_wants_any_more(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    one.turn({"p.Old": ()})
    world.turns(two, seconds=64 * LEASE)
    assert [member.node for member in two.view.members] == ["two"]
    assert [lease.holder for lease in two.leases.leases() if lease.sensor == "p.Old"] == [None]


def test_an_orderly_stop_waits_until_the_others_know_and_leaves_nothing(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    mine = held(one)
    one.stubborn = set(mine)
    one.leaving = True
    assert not one.turn().announced
    world.now += TIMES.tick * 1.5
    assert one.turn().announced
    assert held(one) == mine
    one.stubborn = set()
    one.turn()
    one.turn()
    assert not held(one)
    one.participant.close()
    world.nodes.remove(one)
    two.turn()
    assert held(two) == WANTED.keys()
    assert [member.node for member in two.view.members] == ["two"]


def test_many_are_taken_in_turns_between_which_the_lease_is_renewed(world: World) -> None:
    wanted: dict[str, tuple[str, ...]] = {f"p.S{number}": () for number in range(2500)}
    one = world.node("one")
    assert one.turn(wanted).wait == 0
    assert len(held(one)) == 1000
    one.turn(wanted)
    assert one.turn(wanted).wait > 0
    assert held(one) == wanted.keys()


def test_a_jump_of_the_wall_clock_makes_a_holder_renew_before_it_acts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one = world.node("one")
    one.turn()
    doubts: list[float] = []
    one.holdings.doubted = lambda: doubts.append(world.now)
    for seconds in (1.0, -1.0, 3 * 3600.0, -3 * 3600.0):
        one.set_by += seconds
        assert not one.holdings.is_held("p.S1", 1)
        with pytest.raises(LeaseLost):
            one.holdings.fence_of("p.S1")
        assert doubts
        doubts.clear()
        assert not one.turn().evicted
        assert one.holdings.is_held("p.S1", 1)
    assert not doubts
    assert caplog.text.count("the wall clock has moved by") == 4
    assert "by -10800.0 s" in caplog.text


def test_small_steps_of_the_wall_clock_change_nothing(world: World) -> None:
    one = world.node("one")
    one.turn()
    renewed = one.participant.holdings.end
    for _ in range(4):
        one.set_by += 0.24 * TIMES.tolerance
        assert one.holdings.is_held("p.S1", 1)
    one.set_by -= 1.9 * TIMES.tolerance
    assert one.holdings.is_held("p.S1", 1)
    one.turn()
    assert one.holdings.end == renewed


def test_the_tolerance_is_below_the_margin_and_not_below_what_ntp_corrects_in_steps() -> None:
    for lease in (3.0, 10.0, 30.0):
        times = times_of(lease)
        assert 0.128 < times.tolerance < times.silence - times.term


def test_one_that_was_paused_unknown_to_its_boot_clock_accepts_nothing_once_the_wall_clock_is_right(
    world: World,
) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    mine = held(one)
    paused_at = world.now
    while held(two) != WANTED.keys():
        one.uncounted = world.now - paused_at
        assert not world.doubles()
        two.turn()
        world.now += 0.1
    one.uncounted = world.now - paused_at
    assert not world.doubles()
    assert one.turn().evicted
    assert not held(one) & mine


def test_what_the_wall_clock_counts_uses_the_term_up(world: World) -> None:
    one = world.node("one")
    one.turn()
    one.leases.is_away = True
    for _ in range(20):
        # Each step is small, and within the tolerance of a member that has just renewed.
        one.set_by += TIMES.tolerance / 20
        world.now += 0.3
    assert world.now - 1000.0 < TIMES.term
    assert one.holdings.seconds_left == pytest.approx(TIMES.term - 20 * 0.3 - TIMES.tolerance)


def test_while_the_database_is_away_a_jump_keeps_a_holder_from_acting_until_it_is_back(world: World) -> None:
    one = world.node("one")
    one.turn()
    one.leases.is_away = True
    one.set_by += 1.0
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            one.turn()
        assert not one.holdings.is_held("p.S1", 1)
    one.leases.is_away = False
    one.turn()
    assert one.holdings.is_held("p.S1", 1)


def twin_of(world: World, one: Node) -> Node:
    """Return a container that runs from a copy of another's memory, as after cloning its machine."""
    twin = world.node(one.name)
    own = ("_leases", "_identity", "_settle", "_clock", "holdings", "_holdings", "extended", "_presence")
    pairs = (
        (twin.participant, one.participant),
        (twin.participant._presence, one.participant._presence),
    )
    for theirs, mine in pairs:
        for name, value in vars(mine).items():
            if name not in own:
                setattr(theirs, name, copy.deepcopy(value))
    twin.holdings.hold(one.holdings.fences)
    twin.holdings.extend(one.holdings._term)
    twin.running = set(one.running)
    return twin


def test_of_two_that_run_from_one_memory_one_stops_and_joins_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one = world.node("one")
    world.turns(one)
    twin = twin_of(world, one)
    assert world.doubles() == WANTED.keys()
    world.now += TIMES.tick
    assert not one.turn().evicted
    assert "another container runs under this one's identity" in twin.turn().evicted
    assert not world.doubles()
    assert "a clone" not in caplog.text
    assert "this machine was cloned, or restored from a snapshot; this container joins again" in caplog.text
    # The container that continues was not evicted, and both renew from now on.
    world.turns(one, twin, seconds=3 * LEASE)
    alive = [member for member in one.view.members if not member.dead]
    assert len(alive) == 2
    assert held(one) | held(twin) == WANTED.keys()
    assert (one.view.losses, twin.view.losses) == (0, 1)


def test_one_that_is_restored_from_a_snapshot_stops_at_its_first_renewal(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    world.turns(one, two)
    restored = twin_of(world, one)
    snapshot = world.now
    world.nodes.remove(one)
    world.turns(one, two, seconds=10 * LEASE)
    # Its clocks go back as well, until the wall clock is corrected.
    restored.clock = lambda: world.now - 10 * LEASE
    assert restored.holdings.is_held("p.S1", 1) == ("p.S1" in held(restored))
    restored.set_by = 10 * LEASE
    assert not any(restored.holdings.is_held(ref, fence) for ref, fence in restored.holdings.fences.items())
    assert restored.turn().evicted
    assert snapshot + 10 * LEASE == pytest.approx(world.now)
    restored.leases.close()
    world.nodes.remove(restored)
    world.nodes.append(one)


def test_a_renewal_whose_answer_was_lost_is_known_again(world: World) -> None:
    one = world.node("one")
    one.turn()
    for _ in range(3):
        world.now += TIMES.tick
        one.leases.loses_answer = True
        with pytest.raises(StorageUnavailable):
            one.turn()
        assert not one.turn().evicted
    assert one.holdings.is_held("p.S1", 1)
    assert one.holdings.seconds_left == pytest.approx(TIMES.term)
