from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from st2sensor.container.expectations import HEARD, IDLE_INTERVAL, SILENT, Expectations
from st2sensor.errors import StorageUnavailable
from st2sensor.models import Expectation, Silence
from st2sensor.storage.sqlite.storage import SqliteStorage

REF = "p.S"


def in_a_loop(test: Callable[[SqliteStorage], Coroutine[Any, Any, None]]) -> Callable[[SqliteStorage], None]:
    """Run a test in an event loop."""

    @wraps(test)
    def run(storage: SqliteStorage) -> None:
        asyncio.run(test(storage))

    return run


class AtOnce(Executor):
    """Calls in the caller's thread."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001
            done.set_exception(error)
        return done


class Node:
    """A container's node, as far as expectations see it."""

    def __init__(self, storage: Any, expected: Expectation) -> None:
        self.now = 1000.0
        self.desired = {REF}
        self.expected: Expectation | None = expected
        self.counts = [0, 0]
        self.looks = 0
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.start(storage)

    def start(self, storage: Any) -> None:
        self.watched = Expectations(
            AtOnce(),
            storage,
            desired=lambda: self.desired,
            expected=lambda _: self.expected,
            counts=self.count,
            emit=lambda name, payload: self.emitted.append((name, payload)),
            clock=lambda: self.now,
        )

    def count(self, _: str) -> tuple[int, int]:
        self.looks += 1
        return self.counts[0], self.counts[1]

    async def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.watched.look()
            await asyncio.sleep(0)

    @property
    def told(self) -> list[str]:
        return [name for name, _ in self.emitted]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    made = SqliteStorage(tmp_path / "st2.db")
    made.prepare()
    yield made
    made.close()


@in_a_loop
async def test_silence_and_its_end_are_announced_once_each(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0))
    await node.passes(59)
    assert node.told == []
    await node.passes(200)
    assert node.told == [SILENT]
    assert node.emitted[0][1]["expected"] == {"event": "1m"}
    assert node.emitted[0][1]["missing"] == ["event"]
    node.counts[0] += 1
    await node.passes(50)
    assert node.told == [SILENT, HEARD]
    assert node.emitted[1][1]["by"] == "event"
    await node.passes(200)
    assert node.told == [SILENT, HEARD, SILENT]


@in_a_loop
async def test_a_restart_and_a_takeover_neither_repeat_an_announcement_nor_start_over(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=600.0))
    await node.passes(590)
    await node.watched.close()
    node.start(storage)
    await node.passes(15)
    assert node.told == [SILENT]
    # Another container takes over from one that was killed.
    other = Node(storage, Expectation(event=600.0))
    await other.passes(1000)
    assert other.told == []
    other.counts[0] += 1
    await other.passes(3)
    assert other.told == [HEARD]


@in_a_loop
async def test_a_container_that_is_killed_loses_a_step_at_most(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=600.0))
    for _ in range(8):
        # Each is killed after a minute and a half.
        node.start(storage)
        await node.passes(150)
    assert node.told == [SILENT]


@in_a_loop
async def test_a_restart_just_after_an_event_does_not_use_the_longer_time_from_before(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=600.0))
    await node.passes(590)
    node.counts[0] += 1
    await node.passes(2)
    node.start(storage)
    await node.passes(590)
    assert node.told == []


@in_a_loop
async def test_the_time_for_which_a_sensor_should_not_run_does_not_count(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0))
    await node.passes(50)
    node.desired = set()
    await node.passes(10_000)
    assert node.watched.silence_of(REF) is None
    node.desired = {REF}
    await node.passes(8)
    assert node.told == []
    await node.passes(10)
    assert node.told == [SILENT]


@in_a_loop
async def test_a_container_that_was_held_up_blames_no_sensor(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0))
    await node.passes(10)
    node.now += 10_000
    await node.passes(3)
    assert node.told == []


@in_a_loop
async def test_an_expectation_that_is_dropped_ends_the_silence(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0))
    await node.passes(70)
    node.expected = None
    await node.passes(5)
    assert node.told == [SILENT, HEARD]
    assert node.emitted[1][1]["by"] == "expectation"
    await node.passes(5)
    assert [item.missing for item in storage.all(Silence)] == [()]


@in_a_loop
async def test_what_is_heard_while_the_state_is_read_ends_the_silence(storage: SqliteStorage) -> None:
    storage.put(Silence(pack="p", name="S", event=60.0, missing=("event",), since=1.0))
    node = Node(storage, Expectation(event=60.0))
    node.counts[0] = 1
    await node.passes(3)
    assert [(name, payload["by"]) for name, payload in node.emitted] == [(HEARD, "event")]


@in_a_loop
async def test_a_database_that_is_away_delays_an_announcement_and_loses_none(storage: SqliteStorage) -> None:
    class Away:
        is_away = True

        def all(self, kind: Any) -> Any:
            self.check()
            return storage.all(kind)

        def put(self, entity: Any) -> None:
            self.check()
            storage.put(entity)

        def check(self) -> None:
            if self.is_away:
                raise StorageUnavailable("away")

    away = Away()
    node = Node(away, Expectation(event=60.0))
    await node.passes(100)
    assert node.told == []
    away.is_away = False
    await node.passes(10)
    assert node.told == [SILENT]
    away.is_away = True
    node.counts[0] += 1
    await node.passes(5)
    assert node.told == [SILENT, HEARD]
    away.is_away = False
    await node.passes(10)
    assert [item.missing for item in storage.all(Silence)] == [()]


@in_a_loop
async def test_a_sensor_that_is_heard_often_is_not_stored(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0, poll=60.0))
    for _ in range(100):
        node.counts = [node.counts[0] + 1, node.counts[1] + 1]
        await node.passes(5)
    assert storage.all(Silence) == []


@in_a_loop
async def test_polls_that_succeed_end_no_wait_for_an_event(storage: SqliteStorage) -> None:
    node = Node(storage, Expectation(event=60.0, poll=30.0))
    for _ in range(20):
        node.counts[1] += 1
        await node.passes(5)
    assert node.told == [SILENT]
    assert node.emitted[0][1]["missing"] == ["event"]
    await node.passes(40)
    silence = node.watched.silence_of(REF)
    assert silence is not None
    assert silence.missing == ("event", "poll")
    assert node.told == [SILENT]


@in_a_loop
async def test_the_time_before_something_is_expected_counts(storage: SqliteStorage) -> None:
    """A sensor of which nothing is expected is looked at less often."""
    node = Node(storage, Expectation())
    await node.passes(57)
    assert node.looks <= 2 + 57 / IDLE_INTERVAL
    node.expected = Expectation(event=60.0)
    await node.passes(2)
    assert node.told == []
    await node.passes(2)
    assert node.told == [SILENT]
