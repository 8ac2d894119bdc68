from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fleet.checker import Run, Span, check, gaps
from tests.fleet.ledger import Record
from tests.fleet.pack import Line

SENSOR = "fleet.Counter0"


def record(n: int, fence: int | None, at: float, **changes: object) -> Record:
    made = Record(
        number=n,
        arrived=at + 0.1,
        message_id=f"m{n}",
        header=fence,
        late=False,
        sensor=SENSOR,
        fence=fence,
        n=n,
        at=at,
        pid=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def line(event: str, fence: int | None, at: float, n: int | None = None) -> Line:
    return Line(event=event, sensor=SENSOR, fence=fence, pid=1, at=at, n=n)


RECORDS = [record(1, 1, 11), record(2, 1, 12), record(3, 2, 14), record(4, 2, 15)]
LINES = [
    line("setup", 1, 10.5),
    line("accepted", 1, 11.1, 1),
    line("cleanup begins", 1, 12.5),
    line("cleanup ends", 1, 12.6),
    line("setup", 2, 13),
    line("accepted", 2, 14.1, 3),
]


def a_run(
    records: Sequence[Record] = RECORDS,
    lines: Sequence[Line] = LINES,
    *,
    excused: Sequence[Span] = (),
    observed: Span = (10, 16),
) -> Run:
    return Run(records=records, lines=lines, observed=observed, gap=2, in_flight=1, excused=excused)


def broken(run: Run) -> set[str]:
    return {violation.rule for violation in check(run, [SENSOR])}


def test_a_correct_run_breaks_nothing() -> None:
    assert broken(a_run()) == set()


def test_a_run_without_fences_can_be_correct() -> None:
    records = [replace(item, fence=None, header=None) for item in RECORDS]
    assert broken(a_run(records, [replace(item, fence=None) for item in LINES])) == set()


def test_a_repeat_of_the_same_message_is_allowed() -> None:
    assert broken(a_run([*RECORDS, RECORDS[3]])) == set()


@pytest.mark.parametrize(
    "stray", [line("cleanup ends", 1, 13.2), line("setup", 1, 13.2), replace(LINES[1], at=13.2)], ids=lambda x: x.event
)
def test_two_fences_at_work_at_once_are_found(stray: Line) -> None:
    assert broken(a_run(lines=[*LINES, stray])) == {"exclusive"}


def test_two_processes_of_a_fence_at_work_at_once_are_found() -> None:
    assert broken(a_run(lines=[*LINES, replace(line("setup", 1, 11.5), pid=7)])) == {"alone"}


def test_a_process_may_follow_another_in_a_fence() -> None:
    assert broken(a_run([*RECORDS[:3], replace(RECORDS[3], pid=7)])) == set()


def test_an_event_made_after_the_next_fence_began_is_found() -> None:
    assert broken(a_run([RECORDS[0], replace(RECORDS[1], at=13.5), *RECORDS[2:]])) == {"exclusive"}


def test_numbers_of_a_fence_among_those_of_the_next_are_found() -> None:
    first, second, third, fourth = RECORDS
    swapped = [first, replace(second, n=3, message_id="m3"), replace(third, n=2, message_id="m2"), fourth]
    assert broken(a_run(swapped, [item for item in LINES if item.n != 3])) == {"ranges"}


def test_a_hole_is_found() -> None:
    assert broken(a_run([RECORDS[0], *RECORDS[2:]])) == {"lost"}


def test_what_was_accepted_at_the_end_and_did_not_arrive_is_found() -> None:
    assert broken(a_run(lines=[*LINES, line("accepted", 2, 15.5, 5)])) == {"lost"}


def test_a_number_that_two_processes_had_accepted_is_found() -> None:
    assert broken(a_run(lines=[*LINES, replace(line("accepted", 1, 12.2, 2), pid=7)])) == {"lost", "alone"}


def test_one_number_in_two_messages_is_found() -> None:
    assert broken(a_run([*RECORDS, replace(RECORDS[3], message_id="another")])) == {"repeated"}


def test_a_silence_longer_than_promised_is_found() -> None:
    assert broken(a_run(observed=(10, 18))) == {"gap"}
    assert broken(a_run(observed=(8, 16))) == {"gap"}


def test_a_sensor_that_never_ran_is_found() -> None:
    assert broken(a_run([], [])) == {"gap"}


def test_excused_times_are_no_silence_and_count_once() -> None:
    assert broken(a_run(observed=(10, 18), excused=[(16, 18)])) == set()
    assert broken(a_run(observed=(10, 19), excused=[(16, 18), (16.5, 17.5), (16, 17.9)])) == set()
    assert broken(a_run(observed=(10, 19.5), excused=[(16, 18), (16.5, 17.5)])) == {"gap"}


def test_a_header_that_differs_from_the_payload_is_found() -> None:
    assert broken(a_run([replace(RECORDS[0], header=2), *RECORDS[1:]])) == {"header"}
    assert broken(a_run([*RECORDS[:3], replace(RECORDS[3], header=1)])) == {"header"}
    assert broken(a_run([*RECORDS[:3], replace(RECORDS[3], header=None)])) == {"header"}


def test_the_last_of_a_fence_may_be_carried_out_under_the_next() -> None:
    assert broken(a_run([RECORDS[0], replace(RECORDS[1], header=2), *RECORDS[2:]])) == set()


def test_a_late_message_without_a_mark_is_found() -> None:
    late = replace(RECORDS[1], number=9, arrived=15.5)
    assert broken(a_run([RECORDS[0], *RECORDS[2:], late])) == {"marked"}
    assert broken(a_run([RECORDS[0], *RECORDS[2:], replace(late, late=True)])) == set()


def test_a_message_that_was_in_flight_needs_no_mark() -> None:
    assert broken(a_run([RECORDS[0], RECORDS[2], replace(RECORDS[1], arrived=14.9), RECORDS[3]])) == set()


def simulated(seed: int) -> Run:
    """A correct run of one sensor that is taken over now and then."""
    chance = random.Random(seed)
    records, lines, at, n = [], [], 10.0, 0
    for fence in range(1, chance.randrange(2, 6)):
        at += chance.uniform(0.1, 1.5)
        lines.append(line("setup", fence, at))
        for _ in range(chance.randrange(1, 6)):
            at += chance.uniform(0.1, 1.5)
            n += 1
            records.append(record(n, fence, at))
            lines.append(line("accepted", fence, at + 0.01, n))
    return a_run(records, lines, observed=(10, at + 1))


@given(st.integers(0, 10**6))
def test_a_simulated_run_is_correct_until_something_of_it_is_taken_away_or_changed(seed: int) -> None:
    run, chance = simulated(seed), random.Random(seed)
    assert broken(run) == set()
    index = chance.randrange(len(run.records))
    victim = run.records[index]
    without = [*run.records[:index], *run.records[index + 1 :]]
    assert broken(replace(run, records=without)) == {"lost"}
    assert broken(replace(run, records=[*run.records, replace(victim, message_id="x")])) >= {"repeated"}
    assert victim.fence is not None
    ghost = Line(event="setup", sensor=SENSOR, fence=victim.fence - 1, pid=2, at=victim.at + 0.001)
    assert broken(replace(run, lines=[*run.lines, ghost])) == {"exclusive"}


@given(st.lists(st.tuples(st.floats(9, 17), st.floats(0, 3)), max_size=5))
def test_what_is_excused_only_ever_shortens_a_silence(spans: list[tuple[float, float]]) -> None:
    plain = [seconds for seconds, _ in gaps(a_run())]
    excused = [seconds for seconds, _ in gaps(a_run(excused=[(begin, begin + length) for begin, length in spans]))]
    assert all(-1e-9 <= shorter <= longer for shorter, longer in zip(excused, plain, strict=True))


def test_what_was_in_flight_when_a_way_was_cut_may_come_late_without_a_mark() -> None:
    sent, taken_over, back = 12.0, 14.0, 18.0
    records = [record(1, 1, 10.0), record(3, 2, taken_over), replace(record(2, 1, sent), arrived=back + 2)]
    lines = [line("accepted", 1, 10.01, 1), line("accepted", 1, sent, 2), line("accepted", 2, taken_over + 0.01, 3)]
    run = a_run(records, lines, observed=(10, 14.5))
    assert "marked" in broken(run)
    assert "marked" not in broken(replace(run, cuts=[(sent + 0.5, back)]))
    # The message was dispatched long before the cut, or came long after it.
    assert "marked" in broken(replace(run, cuts=[(sent + 2, back)]))
    assert "marked" in broken(replace(run, cuts=[(sent + 0.5, back - 10)]))
