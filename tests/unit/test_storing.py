"""Calls of the datastore while the database is away, with a database that the test takes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from st2sensor.container.storing import Storing
from st2sensor.errors import DatastoreError, DatastoreUnavailable, StorageError, StorageUnavailable
from tests.support.patience import AT_LAST, SOON


class Database:
    def __init__(self) -> None:
        self.away = False
        self.uncertain = False
        self.slow = threading.Event()
        self.slow.set()
        self.calls = self.probes = 0

    def call(self) -> str:
        self.calls += 1
        self.slow.wait(SOON)
        self._look()
        return "done"

    def ping(self) -> None:
        self.probes += 1
        self._look()

    def _look(self) -> None:
        if self.away:
            raise StorageUnavailable("away", uncertain=self.uncertain)


def run(test: Callable[[Database, Storing], Any], timeout: float = AT_LAST) -> None:
    async def main() -> None:
        database = Database()
        storing = Storing(asyncio.get_running_loop(), database.ping, timeout)
        try:
            await asyncio.wait_for(test(database, storing), SOON)
        finally:
            storing.close()

    asyncio.run(main())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait as long as the test may."""
    while not is_so():
        await asyncio.sleep(0.01)


def test_a_call_waits_until_the_database_is_back() -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.away = True
        calls = [asyncio.ensure_future(storing.run("p.S", database.call)) for _ in range(20)]
        await until(lambda: len(storing._held) == len(calls))
        # By now it is known, and only the probe asks.
        calls_before, probes_before = database.calls, database.probes
        await until(lambda: database.probes >= probes_before + 2)
        assert database.calls == calls_before
        assert not any(call.done() for call in calls)
        database.away = False
        assert await asyncio.gather(*calls) == ["done"] * 20

    run(test)


def test_a_call_gives_up_at_its_deadline() -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.away = True
        with pytest.raises(DatastoreUnavailable, match="away"):
            await storing.run("p.S", database.call)

    run(test, timeout=0.3)


def test_what_may_have_been_done_is_not_repeated_unless_that_does_no_harm() -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.away = database.uncertain = True
        with pytest.raises(DatastoreUnavailable, match="is not known"):
            await storing.run("p.S", database.call, repeatable=False)
        repeated = asyncio.ensure_future(storing.run("p.S", database.call))
        await until(lambda: len(storing._held) == 1)
        database.away = False
        assert await repeated == "done"

    run(test)


@pytest.mark.parametrize("owner", ["p.S", None])
def test_a_sensor_that_stops_does_not_wait_for_a_call_in_flight_either(owner: str | None) -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.slow.clear()
        call = asyncio.ensure_future(storing.run("p.S", database.call))
        await until(lambda: database.calls > 0)
        database.away = True
        storing.give_up(owner)
        database.slow.set()
        with pytest.raises(DatastoreUnavailable):
            await call

    run(test)


def test_a_refusal_is_told_at_once_and_so_is_an_error_of_the_asker() -> None:
    async def test(database: Database, storing: Storing) -> None:  # noqa: ARG001
        def refuse(error: Exception) -> Callable[[], None]:
            def call() -> None:
                raise error

            return call

        with pytest.raises(DatastoreError, match="no room"):
            await storing.run("p.S", refuse(StorageError("no room")))
        with pytest.raises(ValueError, match="mine"):
            await storing.run("p.S", refuse(ValueError("mine")))

    run(test)


def test_a_write_that_may_have_been_done_says_so_when_it_is_given_up() -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.away = database.uncertain = True
        with pytest.raises(DatastoreUnavailable, match="is not known") as raised:
            await storing.run("p.S", database.call, writes=True)
        assert raised.value.uncertain
        with pytest.raises(DatastoreUnavailable) as raised:
            await storing.run("p.S", database.call)
        assert not raised.value.uncertain

    run(test, timeout=0.3)


def test_whatever_the_probe_meets_it_asks_again(caplog: pytest.LogCaptureFixture) -> None:
    async def test(database: Database, storing: Storing) -> None:
        odd: list[Exception] = [MemoryError("once"), KeyError("twice")]

        def ping() -> None:
            database.probes += 1
            if odd:
                raise odd.pop()
            database._look()

        storing._ping = ping
        database.away = True
        call = asyncio.ensure_future(storing.run("p.S", database.call))
        await until(lambda: not odd and database.probes > 2)
        database.away = False
        assert await call == "done"
        assert "cannot be told" in caplog.text

    run(test)
