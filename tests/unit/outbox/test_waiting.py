"""Room in the outbox, and the order in which entries are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.entry import Entry, size_of
from st2sensor.outbox.incoming import Submitted
from st2sensor.outbox.waiting import BATCH, Room, Waiting, room_of
from st2sensor.settings import Outbox as Options
from tests.unit.outbox.test_outbox import entry

WIDE = Room(depth=0, size=0, max_depth=10**6, max_size=10**9, commit=10**9)


def item(*entries: Entry, is_left: bool = False) -> Submitted:
    made = Submitted(entries, lambda _: None, None, is_left)
    made.sizes = [size_of(each) for each in entries]
    return made


def taken(waiting: Waiting, room: Room) -> tuple[list[Submitted], bool]:
    """Take entries; return them, and whether others wait for room."""
    return waiting.take(room), waiting.is_full


@pytest.mark.parametrize(
    ("held", "limited", "depth"), [(0, 0, 60), (50, 0, 60), (30, 20, 80), (50, 10, 70 - 10), (0, 80, 140 - 30)]
)
def test_rows_that_are_held_count_as_half_of_the_outbox_at_the_most(held: int, limited: int, depth: int) -> None:
    backlog = Backlog(last_id=0, depth=60, size=600, limited=limited, limited_size=limited * 10)
    backlog.held, backlog.held_size = held, held * 10
    room = room_of(backlog, Options(max_size=100, max_bytes=1000), 7)
    assert room == Room(depth=depth, size=depth * 10, max_depth=100, max_size=1000, commit=7)


def test_what_fits_exactly_fits() -> None:
    room = Room(depth=8, size=80, max_depth=10, max_size=100, commit=1)
    assert room.fits(2, 20, is_first=False)
    assert not room.fits(3, 20, is_first=True)
    assert not room.fits(2, 21, is_first=True)
    assert replace(room, depth=0).fits(30, 300, is_first=True)
    assert not replace(room, depth=0).fits(30, 300, is_first=False)


def test_only_entries_that_are_all_dead_need_no_room() -> None:
    waiting = Waiting()
    mixed, dead = item(entry(1), entry(2, "wrong")), item(entry(3, "wrong"))
    for each in (mixed, dead):
        waiting.add(each)
    assert (list(waiting.held), list(waiting.dead)) == ([mixed], [dead])
    full = replace(WIDE, depth=10, max_depth=10)
    assert taken(waiting, full) == ([dead], True)
    assert taken(waiting, WIDE) == ([mixed], False)


def test_a_commit_is_bounded_in_entries_and_in_bytes_and_dead_letters_go_first() -> None:
    waiting = Waiting()
    items = [item(entry(number, None if number % 2 else "wrong")) for number in range(8)]
    for each in items:
        waiting.add(each)
    three = replace(WIDE, commit=3 * items[0].sizes[0])
    batches = [(waiting.take(three), waiting.has_more) for _ in range(3)]
    assert batches == [
        ([items[0], items[2], items[4]], True),
        ([items[6], items[1], items[3]], True),
        ([items[5], items[7]], False),
    ]
    for number in range(BATCH + 1):
        waiting.add(item(entry(number)))
    assert len(waiting.take(WIDE)) == BATCH
    assert waiting.has_more
    assert len(waiting.take(WIDE)) == 1


def test_what_is_put_back_comes_first_in_its_order() -> None:
    waiting = Waiting()
    live, dead = [item(entry(number)) for number in range(3)], [item(entry(number, "no")) for number in range(3)]
    waiting.add(live[2])
    waiting.add(dead[2])
    waiting.put_back([dead[0], live[0], live[1], dead[1]])
    assert (list(waiting.held), list(waiting.dead)) == (live, dead)


def test_entries_that_are_expected_elsewhere_are_waited_for_in_their_sensor_alone() -> None:
    waiting = Waiting()
    other, early = item(replace(entry(0), sensor="p.Other")), item(entry(1))
    waiting.add(early)
    waiting.expect("p.S")
    late, left = item(entry(2)), item(entry(3), is_left=True)
    for each in (other, late, left):
        waiting.add(each)
    assert waiting.take(WIDE) == [other, left]
    assert waiting.sensors() == []
    waiting.arrived("p.S")
    assert waiting.take(WIDE) == [late, early]


def test_lanes_wait_while_delivery_or_a_limit_has_too_many_of_their_rows() -> None:
    waiting = Waiting()
    lane = frozenset({("p.S", "p.t")})
    one = item(entry(1))
    waiting.restrict(lane)
    waiting.limit(lane)
    waiting.add(one)
    waiting.restrict(frozenset())
    assert waiting.take(WIDE) == []
    waiting.limit(frozenset({("p.S", "p.other")}))
    assert waiting.take(WIDE) == [one]


def test_the_waiting_entries_of_some_sensors_are_refused_wherever_they_wait() -> None:
    waiting = Waiting()
    told: list[str] = []

    def submitted(number: int, sensor: str, reason: str | None = None) -> Submitted:
        made = item(replace(entry(number, reason), sensor=sensor))
        made.done = lambda error: told.append(f"{number}: {error}")
        return made

    waiting.expect("p.S")
    for each in (submitted(1, "p.S"), submitted(2, "p.T"), submitted(3, "p.S", "dead"), submitted(4, "p.U")):
        waiting.add(each)
    waiting.refuse(lambda sensor: ValueError(f"{sensor} stops"), {"p.S", "p.T"})
    assert sorted(told) == ["1: p.S stops", "2: p.T stops", "3: p.S stops"]
    assert waiting.sensors() == ["p.U"]
    waiting.refuse(lambda sensor: ValueError(f"{sensor} ends"))
    assert told[3:] == ["4: p.U ends"]
    assert not waiting.held
