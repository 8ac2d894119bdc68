"""One target: order, retries, cursor and gaps."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.history.event import Recorded, State
from st2sensor.history.reader import History
from st2sensor.push import pusher as pusher_module
from st2sensor.push.position import Position
from st2sensor.push.pusher import PAGE, Pusher
from st2sensor.push.sender import Answer
from st2sensor.push.targets import Target
from tests.plugins.patience import SOON
from tests.unit.history.test_writer import of, outcome, write

GONE = Answer(problem="cannot be reached", is_silence=True)
REFUSED = Answer(problem="HTTP 400", is_refusal=True)


class Receiver:
    """A target that answers as told, and takes events otherwise."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.taken: list[int] = []
        self.answer: Callable[[int], Answer] = lambda _: Answer()

    async def __call__(self, target: Target, event: Recorded) -> Answer:  # noqa: ARG002
        number = int(event.created)
        self.seen.append(number)
        await asyncio.sleep(0)
        answer = self.answer(number)
        if not answer.problem:
            self.taken.append(number)
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def pusher(
    path: Path, receiver: Receiver, *, retry_max: float = 60.0, clock: float = 100.0, **fields: object
) -> Pusher:
    target = Target(name="a", url="http://h/token", secrets=(b"s" * 24,), **{"from_oldest": True, **fields})  # type: ignore[arg-type]
    position = Position(path.with_name("a.cursor"))
    return Pusher(target, History(path), position, receiver, retry_max=retry_max, clock=lambda: clock)


def turns(made: Pusher, number: int = 1) -> list[float]:
    async def run() -> list[float]:
        return [await made.turn() for _ in range(number)]

    return asyncio.run(run())


def test_events_are_sent_in_order_and_once(path: Path) -> None:
    write(path, [outcome(number, state=State.DEAD if number == 3 else State.CONFIRMED) for number in range(1, 6)])
    receiver = Receiver()
    made = pusher(path, receiver)
    turns(made, 3)
    assert receiver.seen == [1, 2, 4, 5]
    report = made.report()
    assert (report.delivered, report.lag, report.lag_seconds, report.trouble) == (4, 0, 0.0, "")
    turns(pusher(path, receiver))
    assert receiver.seen == [1, 2, 4, 5]


def test_a_new_target_begins_at_the_end_also_after_a_restart(path: Path) -> None:
    write(path, [outcome(1)])
    receiver = Receiver()
    pusher(path, receiver, from_oldest=False).begin()
    write(path, [outcome(2)])
    turns(pusher(path, receiver, from_oldest=False))
    assert receiver.seen == [2]


def test_filters_choose_events_and_the_cursor_passes_the_others(path: Path) -> None:
    write(path, [outcome(1), of(outcome(2), sensor="p.Other", trigger_type="p.other"), outcome(3)])
    receiver = Receiver()
    made = pusher(path, receiver, sensor="linux.Tail", triggers=frozenset({"p.other"}))
    turns(made)
    assert (receiver.seen, made.report().lag) == ([], 0)
    other = Receiver()
    path.with_name("a.cursor").unlink()
    turns(pusher(path, other, triggers=frozenset({"p.other"})))
    assert other.seen == [2]


def test_a_sensors_later_events_wait_for_the_one_that_is_refused(path: Path) -> None:
    write(path, [outcome(1), outcome(2), of(outcome(3), sensor="p.Other"), outcome(4)])
    receiver = Receiver()
    receiver.answer = lambda number: REFUSED if number == 2 else Answer()
    made = pusher(path, receiver)
    turns(made, 2)
    assert sorted(receiver.taken) == [1, 3]
    assert receiver.seen.count(3) == 1
    report = made.report()
    assert (report.lag, report.failures, report.problem) == (3, 2, "HTTP 400")
    assert report.lag_seconds == 100.0 - 2.5

    # After a crash, events after the cursor come again.
    again = Receiver()
    restarted = pusher(path, again)
    turns(restarted, 2)
    assert [number for number in again.seen if number != 3] == [2, 4]
    assert restarted.report().lag == 0


def test_a_refused_event_holds_up_no_other_sensor_however_many_events_follow(path: Path) -> None:
    others = [of(outcome(number), sensor=f"p.Other{number % 3}") for number in range(2, 3 * PAGE)]
    write(path, [outcome(1), *others, outcome(3 * PAGE)])
    receiver = Receiver()
    receiver.answer = lambda number: REFUSED if number in (1, 250) else Answer()
    made = pusher(path, receiver)
    turns(made, 2)
    late = [number for number in range(250, 3 * PAGE) if number % 3 == 250 % 3]
    assert sorted(receiver.taken) == sorted(set(range(2, 3 * PAGE)) - set(late))
    assert (receiver.seen.count(1), receiver.seen.count(250), receiver.seen.count(253)) == (2, 2, 0)
    assert (made.report().lag, made.report().problem) == (3 * PAGE, "HTTP 400")

    receiver.answer = lambda _: Answer()
    turns(made, 4)
    assert sorted(receiver.taken) == list(range(1, 3 * PAGE + 1))
    assert [number for number in receiver.taken if number in late] == late
    assert made.report().lag == 0


def test_no_more_than_some_events_are_sent_ahead(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pusher_module, "AHEAD", PAGE)
    write(path, [outcome(1), *(of(outcome(number), sensor="p.Other") for number in range(2, 4 * PAGE))])
    receiver = Receiver()
    receiver.answer = lambda number: REFUSED if number == 1 else Answer()
    turns(pusher(path, receiver), 3)
    assert receiver.taken == list(range(2, PAGE + 1))


def test_delays_between_attempts_grow_up_to_a_limit(path: Path) -> None:
    write(path, [outcome(1)])
    receiver = Receiver()
    receiver.answer = lambda _: GONE
    made = pusher(path, receiver, retry_max=4.0)
    waits = turns(made, 8)
    assert all(wait <= 4.0 * 1.2 for wait in waits)
    assert waits[0] <= 0.5 * 1.2
    assert waits[-1] >= 4.0 * 0.8
    assert "cannot be reached" in made.report().trouble
    assert "token" not in made.report().trouble
    receiver.answer = lambda _: Answer()
    turns(made)
    assert (receiver.taken, made.report().trouble, made.report().failing_since) == ([1], "", None)


def test_a_short_failure_is_no_trouble_but_a_refusal_is(path: Path) -> None:
    write(path, [outcome(1)])
    receiver = Receiver()
    made = pusher(path, receiver)
    receiver.answer = lambda _: Answer(problem="HTTP 503")
    turns(made)
    assert made.report().trouble == ""
    receiver.answer = lambda _: REFUSED
    turns(made)
    assert "HTTP 400" in made.report().trouble


def test_a_receiver_may_ask_for_a_longer_wait_within_the_limit(path: Path) -> None:
    write(path, [outcome(1)])
    receiver = Receiver()
    made = pusher(path, receiver, retry_max=20.0)
    receiver.answer = lambda _: Answer(problem="HTTP 503", retry_after=9.0)
    assert turns(made) == [9.0]
    receiver.answer = lambda _: Answer(problem="HTTP 503", retry_after=9000.0)
    assert turns(made) == [20.0]


def test_a_receiver_that_is_away_is_not_asked_for_each_sensor(path: Path) -> None:
    write(path, [of(outcome(number), sensor=f"p.S{number}") for number in range(1, 31)])
    receiver = Receiver()
    receiver.answer = lambda _: GONE
    turns(pusher(path, receiver))
    assert len(receiver.seen) < 10


def test_a_history_that_was_cut_leaves_a_gap(path: Path) -> None:
    write(path, [outcome(number) for number in range(1, 6)])
    receiver = Receiver()
    made = pusher(path, receiver)
    receiver.answer = lambda number: Answer() if number == 1 else GONE
    turns(made)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM events WHERE seq <= 3")
    receiver.answer = lambda _: Answer()
    turns(made, 2)
    assert receiver.taken == [1, 4, 5]
    report = made.report()
    assert (report.gaps, report.missed) == (1, 2)
    assert "1 gap" in report.trouble


def test_a_damaged_cursor_sends_all_that_is_kept(path: Path) -> None:
    write(path, [outcome(1), outcome(2)])
    path.with_name("a.cursor").write_bytes(b"\0")
    receiver = Receiver()
    made = pusher(path, receiver, from_oldest=False)
    turns(made, 2)
    assert (receiver.taken, made.report().gaps) == ([1, 2], 1)


def test_more_than_a_page_is_sent_page_by_page(path: Path) -> None:
    write(path, [outcome(number) for number in range(1, PAGE + 11)])
    receiver = Receiver()
    assert turns(pusher(path, receiver), 2)[0] == 0.0
    assert receiver.taken == list(range(1, PAGE + 11))


def test_a_target_that_fails_now_and_then_is_not_in_trouble_and_is_soon_tried_again(path: Path) -> None:
    write(path, [outcome(number) for number in range(1, 3 * PAGE)])
    receiver = Receiver()
    # Every seventh request fails.
    receiver.answer = lambda _: Answer(problem="HTTP 503") if len(receiver.seen) % 7 == 0 else Answer()
    made = pusher(path, receiver)
    waits = turns(made, 20)
    assert max(waits) <= 0.5 * 1.2
    assert (made.report().trouble, made.report().failures) == ("", 20)
    assert receiver.taken == list(range(1, 20 * 6 + 1))
    # It stops to take events.
    receiver.answer = lambda _: Answer(problem="HTTP 503")
    assert turns(made, 5)[-1] > 2.0
    assert "HTTP 503" in made.report().trouble


def test_a_stop_waits_for_the_answer_to_the_request_in_progress_and_sends_no_more(path: Path) -> None:
    write(path, [outcome(1), outcome(2)])
    receiver = Receiver()
    made = pusher(path, receiver)

    async def run() -> None:
        running = asyncio.ensure_future(made.run())
        while not receiver.seen:
            await asyncio.sleep(0)
        made.stop()
        async with asyncio.timeout(SOON):
            await running

    asyncio.run(run())
    assert receiver.taken == [1]
    turns(pusher(path, receiver))
    assert receiver.taken == [1, 2]
