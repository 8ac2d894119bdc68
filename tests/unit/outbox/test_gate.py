"""Operators' limits, with a clock that a test controls."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.limit_table import Changes, LimitTable
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.database.store import INSERT
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.gate import RELEASE_INTERVAL, Gate
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Outbox as Options
from tests.plugins.patience import SOON
from tests.unit.outbox.test_outbox import put


def event(name: str, *, fence: int | None = None, kind: str = "p.t", at: float = 1000.0) -> Entry:
    return Entry(
        message_id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex,
        sensor="p.S",
        trigger=kind,
        trigger_type=kind,
        created=at,
        body=f'"{name}"',
        fence=fence,
    )


class Bench:
    """A gate with a file; `restart` replaces the gate."""

    def __init__(self, path: Path, declared: Mapping[str, Any]) -> None:
        self.connection: sqlite3.Connection = open_file(path, "process")
        self.now = 1000.0
        self.last = 0
        self.learn(declared)

    def learn(self, declared: Mapping[str, Any]) -> None:
        self.limits = {"p.S": SensorLimits("p.S", declared)} if declared else {}
        self.restart()

    def restart(self) -> None:
        self.gate = Gate(lambda: LimitTable(self.connection), clock=lambda: self.now)
        self.gate.learn(self.limits)

    def offer(self, *entries: Entry) -> list[str]:
        """Commit entries; return what became of each: sent, held or dropped."""
        found = []
        for entry in entries:
            is_kept, held = self.gate.judge(entry)
            if is_kept:
                self.last += 1
                self.connection.execute(INSERT, (self.last, None, *columns_of(entry), held))
            found.append("dropped" if not is_kept else "sent" if held is None else "held")
        LimitTable(self.connection).store(self.gate.changes(), ())
        self.gate.settle()
        return found

    def release(self) -> list[str]:
        rows = self.gate.released()
        moved = [(self.last + place, row.id) for place, row in enumerate(rows, start=1)]
        self.last += len(rows)
        LimitTable(self.connection).store(self.gate.changes(), moved)
        self.connection.executemany("UPDATE outbox SET held = NULL WHERE id = ?", [(new,) for new, _ in moved])
        self.gate.settle()
        return [row.entry.body.strip('"') for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


RATE = {"rate": "10/s", "burst": 3}


def test_a_burst_leaves_and_the_rest_follows_at_the_rate_in_order(path: Path) -> None:
    bench = Bench(path, RATE)
    assert bench.offer(*(event(str(number)) for number in range(8))) == ["sent"] * 3 + ["held"] * 5
    assert bench.gate.next_release() == pytest.approx(1000.1)
    assert bench.release() == []
    left = []
    for _ in range(10):
        bench.now += 0.1
        left += bench.release()
    assert left == ["3", "4", "5", "6", "7"]
    assert bench.gate.next_release() == float("inf")
    assert bench.offer(event("8")) == ["sent"]


STORM = [(f"{number % 40}", number / 400) for number in range(400)]
"""The names of 400 alerts within one second, each ten times, with their times in seconds."""


@pytest.mark.parametrize(
    ("limits", "at_once", "within_a_second", "in_the_end"),
    [
        ({"rate": "10/s", "burst": 100}, 102, 110, 400),
        ({"rate": "10/s", "burst": 100, "over": "hold"}, 102, 102, 102),
        ({"rate": "10/s", "burst": 100, "dedupe": {"key": ["payload.id"], "window": "1h"}}, 40, 40, 40),
        ({"rate": "10/s", "burst": 10, "dedupe": {"key": ["payload.id"], "window": "1h"}}, 10, 20, 40),
        ({"sample": "1/100"}, 4, 4, 4),
        ({"rate": "1/s", "burst": 2, "sample": "1/100"}, 2, 3, 4),
    ],
)
def test_four_hundred_alerts_of_one_second_leave_as_configured(
    path: Path, limits: dict[str, Any], at_once: int, within_a_second: int, in_the_end: int
) -> None:
    bench = Bench(path, limits)
    sent: list[str] = []
    held: list[str] = []
    for name, at in STORM:
        bench.now = 1000.0 + at
        became = bench.offer(event(name))
        sent += [name] * (became == ["sent"])
        held += [name] * (became == ["held"])
    assert len(sent) == at_once
    left = []
    for tick in range(100 * 20):
        bench.now = 1001.0 + tick / 20
        left += bench.release()
        if tick == 0:
            assert len(sent) + len(left) == within_a_second
    # What was held leaves in order, unless an operator is to look at it.
    assert left == held[: len(left)]
    assert len(sent) + len(left) == in_the_end


def test_a_new_event_does_not_overtake_held_ones(path: Path) -> None:
    bench = Bench(path, RATE)
    bench.offer(*(event(str(number)) for number in range(4)))
    bench.now += 0.1 + RELEASE_INTERVAL
    assert bench.offer(event("late")) == ["held"]
    assert bench.release() == ["3"]


def test_a_restart_does_not_let_a_storm_through(path: Path) -> None:
    bench = Bench(path, RATE)
    bench.offer(*(event(str(number)) for number in range(4)))
    for number in range(20):
        bench.restart()
        assert bench.offer(event(f"again {number}")) == ["held"]
    assert bench.gate.held == 21
    bench.now += 0.2
    assert bench.release() == ["3", "again 0"]


def test_a_bucket_begins_with_one_event_under_a_new_fence(path: Path) -> None:
    bench = Bench(path, RATE)
    assert bench.offer(*(event(f"a{number}", fence=1) for number in range(2))) == ["sent", "held"]
    bench.now += 60.0
    bench.release()
    assert bench.offer(*(event(f"b{number}", fence=2) for number in range(2))) == ["sent", "held"]


def test_a_clock_that_is_set_back_neither_fills_nor_blocks_a_bucket(path: Path) -> None:
    bench = Bench(path, RATE)
    bench.offer(*(event(str(number)) for number in range(4)))
    bench.now -= 3600.0
    assert bench.offer(event("4")) == ["held"]
    bench.now += 0.3
    assert bench.release()


def test_held_events_wait_for_an_operator(path: Path) -> None:
    bench = Bench(path, {**RATE, "over": "hold"})
    assert bench.offer(*(event(str(number)) for number in range(5))) == ["sent"] * 3 + ["held"] * 2
    bench.now += 3600.0
    bench.restart()
    assert bench.release() == []
    assert bench.offer(event("5")) == ["held"]
    assert bench.gate.free("p.Other", None) == 0
    assert bench.gate.free("p.S", None) == 3
    assert bench.release() == ["3", "4", "5"]
    assert bench.offer(event("6")) == ["sent"]


def test_events_of_one_type_are_released_alone(path: Path) -> None:
    bench = Bench(path, {"rate": "1/h", "burst": 1, "over": "hold"})
    bench.offer(event("0"), event("1"), event("2", kind="p.u"))
    assert bench.gate.free(None, "p.u") == 1
    assert bench.release() == ["2"]
    assert bench.gate.held == 1


def test_events_leave_when_their_limits_are_removed(path: Path) -> None:
    bench = Bench(path, {**RATE, "over": "hold"})
    bench.offer(*(event(str(number)) for number in range(5)))
    bench.learn({})
    assert bench.release() == ["3", "4"]


def test_a_type_with_its_own_rate_has_its_own_bucket(path: Path) -> None:
    bench = Bench(path, {**RATE, "triggers": {"p.u": {"rate": "1/s", "burst": 1}}})
    assert bench.offer(*(event(str(number), kind="p.u") for number in range(2))) == ["sent", "held"]
    assert bench.offer(event("other")) == ["sent"]


DEDUPE = {"dedupe": {"key": ["payload.id"], "window": "10m"}}


def test_a_repeat_is_dropped_across_restarts_until_its_window_is_over(path: Path) -> None:
    bench = Bench(path, DEDUPE)
    assert bench.offer(event("a"), event("a"), event("b")) == ["sent", "dropped", "sent"]
    bench.restart()
    assert bench.offer(event("a")) == ["dropped"]
    assert bench.gate.counts["p.S", "p.t"].duplicates == 2
    LimitTable(bench.connection).forget(1601.0)
    bench.restart()
    assert bench.offer(event("a")) == ["sent"]


def test_a_repeat_under_a_new_fence_is_sent_once(path: Path) -> None:
    bench = Bench(path, DEDUPE)
    assert bench.offer(event("a", fence=1), event("a", fence=1)) == ["sent", "dropped"]
    assert bench.offer(event("a", fence=2), event("a", fence=2)) == ["sent", "dropped"]


def test_an_event_whose_commit_failed_is_no_repeat_of_itself(path: Path) -> None:
    bench = Bench(path, {**DEDUPE, **RATE})
    assert bench.gate.judge(event("a")) == (True, None)
    bench.gate.undo()
    assert bench.offer(event("a"), event("a")) == ["sent", "dropped"]
    assert bench.gate.buckets["p.S"].tokens == pytest.approx(2.0)


def test_an_event_that_was_taken_back_after_its_commit_is_no_repeat_of_itself(path: Path) -> None:
    bench = Bench(path, DEDUPE)
    bench.gate.judge(event("a"))
    bench.gate.judge(event("b"))
    LimitTable(bench.connection).store(bench.gate.changes(), ())
    bench.gate.undo()
    assert bench.gate.judge(event("b")) == (True, None)
    LimitTable(bench.connection).store(bench.gate.changes(), ())
    bench.gate.settle()
    bench.restart()
    assert bench.offer(event("a"), event("b")) == ["sent", "dropped"]


def test_one_in_a_hundred_is_kept_across_restarts(path: Path) -> None:
    bench = Bench(path, {"sample": "1/100"})
    found = []
    for number in range(1000):
        if number % 77 == 0:
            bench.restart()
        found += bench.offer(event(str(number)))
    assert [number for number, fate in enumerate(found) if fate == "sent"] == list(range(0, 1000, 100))
    assert bench.gate.counts["p.S", "p.t"].sampled == 990


def test_repeats_neither_take_a_token_nor_count_for_the_sample(path: Path) -> None:
    bench = Bench(path, {**DEDUPE, "rate": "1/h", "burst": 2, "sample": "1/2"})
    entries = [event(name) for name in ("a", "a", "a", "b", "b", "c")]
    assert bench.offer(*entries) == ["sent", "dropped", "dropped", "dropped", "dropped", "sent"]


def test_a_bucket_that_is_empty_is_not_filled_by_a_new_fence(path: Path) -> None:
    bench = Bench(path, RATE)
    assert bench.offer(event("a", fence=1), event("b", fence=2)) == ["sent", "held"]


def test_nothing_leaves_before_the_limits_are_known(path: Path) -> None:
    bench = Bench(path, RATE)
    bench.offer(*(event(str(number)) for number in range(5)))
    bench.gate = Gate(lambda: LimitTable(bench.connection), clock=lambda: bench.now)
    bench.now += 60.0
    assert bench.gate.next_release() == float("inf")
    assert not bench.gate.is_due()
    assert bench.release() == []
    bench.gate.learn(bench.limits)
    assert bench.gate.is_due()
    assert bench.release() == ["3", "4"]


def test_few_message_ids_are_kept_in_memory_and_the_others_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("st2sensor.outbox.gate.KEPT", 2)
    bench = Bench(path, DEDUPE)
    bench.offer(event("a"), event("b"), event("c"))
    assert list(bench.gate._recent) == [event("b").message_id, event("c").message_id]
    assert bench.offer(event("a"), event("c")) == ["dropped", "dropped"]


def test_a_fast_bucket_shares_commits_and_settled_decisions_are_not_committed_again(path: Path) -> None:
    bench = Bench(path, {"rate": "1000/s", "burst": 1})
    assert bench.offer(event("0"), event("1"), event("2")) == ["sent", "held", "held"]
    assert bench.gate.changes() == Changes()
    bench.now += 1.0
    assert bench.release() == ["1"]
    assert bench.gate.next_release() == pytest.approx(bench.now + RELEASE_INTERVAL)


# The whole outbox.


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    made = Outbox(path, Options(max_size=100))
    yield made
    made.close()


def bodies(outbox: Outbox, number: int) -> list[str]:
    """Read and confirm this number of rows."""
    found: list[str] = []
    after = outbox.cursor
    until = time.monotonic() + SOON
    while len(found) < number and time.monotonic() < until:
        if rows := outbox.read(after, 100, 0.05):
            found += [row.entry.body for row in rows]
            after = outbox.cursor = rows[-1].id
            outbox.confirm(after, len(rows))
    return found


def test_the_outbox_delivers_a_burst_then_the_rest_in_order(outbox: Outbox) -> None:
    outbox.limit({"p.S": SensorLimits("p.S", {"rate": "50/s", "burst": 10})})
    began = time.monotonic()
    put(outbox, *(event(str(number)) for number in range(40)))
    assert bodies(outbox, 40) == [f'"{number}"' for number in range(40)]
    assert time.monotonic() - began >= 0.5
    assert outbox.wait_empty(SOON)


def test_held_rows_stay_held_in_the_file_and_are_never_read(path: Path) -> None:
    limits = {"p.S": SensorLimits("p.S", {"rate": "1/d", "burst": 1, "over": "hold"})}
    first = Outbox(path)
    first.limit(limits)
    put(first, *(event(str(number)) for number in range(5)))
    assert bodies(first, 1) == ['"0"']
    first.close()
    again = Outbox(path)
    again.limit(limits)
    try:
        assert again.read(again.cursor, 10, 0.05) == []
        assert again.depth == 0
        assert again.limited["p.S", "p.t"].held == 4
        freed: list[int] = []
        again.free("p.S", None, freed.append)
        assert bodies(again, 4) == [f'"{number}"' for number in range(1, 5)]
        assert freed == [4]
    finally:
        again.close()


def test_other_sensors_have_room_while_one_holds_its_share(outbox: Outbox) -> None:
    outbox.limit({"p.S": SensorLimits("p.S", {"rate": "1/d", "burst": 1, "over": "hold"})})
    put(outbox, *(event(str(number)) for number in range(51)))
    waiting: list[Exception | None] = []
    for number in range(30):
        outbox.submit(event(f"more {number}"), waiting.append)
    assert outbox.wait_committed(SOON)
    assert waiting == []
    put(outbox, *(Entry(**{**fields(event(f"o{number}")), "sensor": "p.Other"}) for number in range(40)))
    outbox.free(None, None, lambda _: None)
    assert len(bodies(outbox, 91)) == 91
    assert outbox.wait_committed(SOON)
    # Those that had to wait are held now, behind the limit.
    assert waiting == [None] * 30
    assert outbox.limited["p.S", "p.t"].held == 30


def fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}
