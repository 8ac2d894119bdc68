"""The counts of waiting rows, and the ids that must not be forgotten."""

from __future__ import annotations

from st2sensor.outbox.backlog import Backlog, Settled
from st2sensor.outbox.tail import Row
from tests.unit.outbox.test_outbox import entry


def row(number: int, held: str | None = None) -> Row:
    return Row(id=number, entry=entry(number), size=10 * number, held=held)


def backlog_of(*rows: Row) -> Backlog:
    made = Backlog(last_id=0, depth=0, size=0)
    made.accept(rows)
    return made


def counts(backlog: Backlog) -> tuple[int, ...]:
    return (backlog.depth, backlog.size, backlog.held, backlog.held_size, backlog.limited, backlog.limited_size)


def test_rows_are_counted_where_they_are() -> None:
    backlog = backlog_of(row(1), row(2, "p.S"), row(3))
    assert counts(backlog) == (2, 40, 0, 0, 1, 20)
    assert backlog.last_id == 3
    one, three = backlog.give(backlog.next(0, 10, 0.0) or [])
    backlog.hold_back([three])
    assert counts(backlog) == (2, 40, 1, 30, 1, 20)
    assert backlog.settle([three], "no queue", were_held=True, is_unrouted=True) == [Settled(3, "no queue", True)]
    assert counts(backlog) == (1, 10, 0, 0, 1, 20)
    assert backlog.confirm(1, 1) == [Settled(1)]
    assert counts(backlog) == (0, 0, 0, 0, 1, 20)
    backlog.release([Row(id=4, entry=entry(2), size=20)])
    assert counts(backlog) == (1, 20, 0, 0, 0, 0)
    assert [given.id for given in backlog.next(3, 10, 0.0) or []] == [4]
    assert one.id == 1


def test_rows_that_are_held_back_or_settled_are_not_given_again() -> None:
    backlog = backlog_of(row(1), row(2), row(3), row(4))
    rows = backlog.give(backlog.next(0, 10, 0.0) or [])
    backlog.settle(rows[:1], None, were_held=False)
    backlog.hold_back(rows[1:2])
    assert [given.id for given in backlog.give(rows)] == [3, 4]
    assert backlog.confirm(3, 1) == [Settled(3)]
    assert backlog.confirm(4, 1) == [Settled(4)]


def test_a_settled_row_leaves_in_two_steps() -> None:
    backlog = backlog_of(row(1), row(2))
    backlog.give(backlog.next(0, 10, 0.0) or [])
    settled = backlog.confirm(2, 2)
    assert (backlog.to_delete, backlog.settled_ids()) == (0, {1, 2})
    backlog.may_delete(settled[:1])
    assert (backlog.to_delete, backlog.settled(5), backlog.settled_ids()) == (1, settled[:1], {1, 2})
    backlog.deleted(1)
    assert (backlog.to_delete, backlog.settled_ids()) == (0, {2})


def test_nothing_is_waiting_after_the_newest_row_or_once_all_are_settled() -> None:
    backlog = backlog_of(row(1), row(2, "p.S"))
    assert backlog.next(1, 10, 0.0) == []
    assert not backlog.wait_empty(0.0)
    assert backlog.oldest_in_memory() == row(1) or backlog.depth == 1
    backlog.give(backlog.next(0, 10, 0.0) or [])
    backlog.confirm(1, 1)
    assert backlog.wait_empty(0.0)


def test_rows_that_an_earlier_container_left_are_read_from_disk() -> None:
    backlog = Backlog(last_id=5, depth=3, size=30)
    assert backlog.next(2, 10, 0.0) is None
    assert backlog.oldest_in_memory() is None
    backlog.accept([row(6)])
    assert [given.id for given in backlog.next(5, 10, 0.0) or []] == [6]
