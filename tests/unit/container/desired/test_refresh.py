"""When storage is read, and how a failure is handled, with an injected clock and a reader that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from st2sensor.container.desired.refresh import STORAGE_RETRY, Refresh
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.errors import ConfigError, StorageUnavailable
from st2sensor.models import SensorType

INTERVAL = 30.0


def snapshot(name: str) -> Snapshot:
    sensor = SensorType(pack="p", name=name, artifact_uri="file:///s.py", entry_point=f"sensors.s.{name}")
    return Snapshot(sensors={sensor.ref: sensor})


ONE, TWO = snapshot("One"), snapshot("Two")


class Container:
    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.time = 100.0
        self.result: Snapshot | Exception = ONE
        self.last_run: Snapshot | None = None
        self.is_prepared = False
        self.reads = 0
        self.learned: list[Snapshot] = []
        self.ended = 0
        self.during: Callable[[], None] = lambda: None
        self.refresh = Refresh(
            self, threads, INTERVAL, learned=self.learned.append, ended=self.note_end, clock=lambda: self.time
        )

    def note_end(self) -> None:
        self.ended += 1

    def read(self) -> Snapshot:
        self.reads += 1
        self.during()
        if isinstance(self.result, Exception):
            raise self.result
        self.is_prepared = True
        return self.result

    def saved(self) -> Snapshot | None:
        return self.last_run

    async def look(self) -> None:
        """Give it an opportunity to read, and wait until the read, if there is one, has ended."""
        self.refresh.look_when_stale()
        await self.refresh._settled()


def run(test: Callable[[Container], Coroutine[Any, Any, None]]) -> None:
    async def main(threads: ThreadPoolExecutor) -> None:
        container = Container(threads)
        await test(container)
        await container.refresh.close()

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(main(threads))


def test_storage_is_read_at_the_start_then_when_something_changed_or_the_interval_is_over() -> None:
    async def test(container: Container) -> None:
        assert (container.refresh.has_looked, container.refresh.health.ok) == (False, False)
        await container.look()
        assert (container.reads, container.learned, container.ended) == (1, [ONE], 1)
        assert container.refresh.has_looked
        assert container.refresh.health.ok
        await container.look()
        assert container.reads == 1
        container.refresh.mark_stale()
        await container.look()
        assert container.reads == 2
        container.time += INTERVAL - 0.1
        await container.look()
        assert container.reads == 2
        container.time += 0.1
        await container.look()
        assert container.reads == 3
        assert container.refresh.look_at == container.time + INTERVAL

    run(test)


def test_a_change_during_a_read_has_it_read_again() -> None:
    async def test(container: Container) -> None:
        container.during = container.refresh.mark_stale
        await container.look()
        container.during = lambda: None
        await container.look()
        await container.look()
        assert container.reads == 2

    run(test)


def test_a_start_without_the_database_uses_what_the_last_run_saved(caplog: pytest.LogCaptureFixture) -> None:
    async def test(container: Container) -> None:
        container.result, container.last_run = StorageUnavailable("it is away"), ONE
        await container.look()
        assert container.learned == [ONE]
        assert container.refresh.health.reason == "it is away; the sensors of the last run are started"
        # Once more at the usual time, then soon again and again.
        for _ in range(3):
            container.time = container.refresh.look_at
            await container.look()
        assert container.refresh.look_at == container.time + STORAGE_RETRY
        assert container.learned == [ONE]
        assert caplog.text.count("it is away") == 1
        container.result = TWO
        container.time += STORAGE_RETRY
        await container.look()
        assert container.learned == [ONE, TWO]
        assert container.refresh.health.ok

    run(test)


def test_without_the_database_and_an_earlier_run_nothing_is_known() -> None:
    async def test(container: Container) -> None:
        container.result = StorageUnavailable("it is away")
        await container.look()
        assert container.learned == []
        assert container.refresh.has_looked
        assert container.refresh.health.reason == "it is away; no sensor can start before it answers"

    run(test)


def test_a_database_that_goes_away_changes_nothing() -> None:
    async def test(container: Container) -> None:
        container.last_run = TWO
        await container.look()
        container.result = StorageUnavailable("it is away")
        container.refresh.mark_stale()
        await container.look()
        assert container.learned == [ONE]
        assert container.refresh.health.reason == "it is away; the sensors known so far keep running"

    run(test)


def test_wrong_partitions_are_logged_once_and_say_what_that_means(caplog: pytest.LogCaptureFixture) -> None:
    async def test(container: Container) -> None:
        container.result = ConfigError("two nodes own p.One")
        for _ in range(2):
            container.refresh.mark_stale()
            await container.look()
        assert caplog.messages == ["two nodes own p.One; until then no sensor runs"]
        container.result = ONE
        container.refresh.mark_stale()
        await container.look()
        container.result = ConfigError("two nodes own p.One")
        container.refresh.mark_stale()
        await container.look()
        assert caplog.messages[1:] == ["two nodes own p.One; until then nothing changes"]
        assert not container.refresh.health.ok

    run(test)


def test_an_unforeseen_error_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def test(container: Container) -> None:
        container.result = MemoryError("no room")
        await container.look()
        assert container.ended == 1
        container.result = ONE
        container.refresh.mark_stale()
        await container.look()
        assert container.learned == [ONE]

    run(test)
    assert "continuing with the last known state" in caplog.text


def test_who_asks_for_now_gets_a_read_that_began_later_but_not_every_time() -> None:
    async def test(container: Container) -> None:
        container.refresh.look_when_stale()
        await container.refresh.now()
        # The read that was under way, and one after it.
        assert container.reads == 2
        await container.refresh.now()
        assert container.reads == 2
        container.time += STORAGE_RETRY
        await container.refresh.now()
        assert container.reads == 3

    run(test)
