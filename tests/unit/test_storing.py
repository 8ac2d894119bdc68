"""Calls of the datastore while the database is away, with a database that the test takes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from st2sensor.container.storing import Storing
from st2sensor.errors import DatastoreError, DatastoreUnavailable, StorageError, StorageUnavailable


class Database:
    def __init__(self) -> None:
        self.away = False
        self.uncertain = False
        self.slow = threading.Event()
        self.slow.set()
        self.calls = 0

    def call(self) -> str:
        self.calls += 1
        self.slow.wait(10)
        self.ping()
        return "done"

    def ping(self) -> None:
        if self.away:
            raise StorageUnavailable("away", uncertain=self.uncertain)


def run(test: Callable[[Database, Storing], Any], timeout: float = 30.0) -> None:
    async def main() -> None:
        database = Database()
        storing = Storing(asyncio.get_running_loop(), database.ping, timeout)
        try:
            await asyncio.wait_for(test(database, storing), 20)
        finally:
            storing.close()

    asyncio.run(main())


def test_a_call_waits_until_the_database_is_back() -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.away = True
        calls = [asyncio.ensure_future(storing.run("p.S", database.call)) for _ in range(20)]
        await asyncio.sleep(0.3)
        assert not any(call.done() for call in calls)
        # By now it is known, and only the probe asks.
        found_out = database.calls
        await asyncio.sleep(0.6)
        assert database.calls == found_out
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
        await asyncio.sleep(0.05)
        database.away = False
        assert await repeated == "done"

    run(test)


@pytest.mark.parametrize("owner", ["p.S", None])
def test_a_sensor_that_stops_does_not_wait_for_a_call_in_flight_either(owner: str | None) -> None:
    async def test(database: Database, storing: Storing) -> None:
        database.slow.clear()
        call = asyncio.ensure_future(storing.run("p.S", database.call))
        while not database.calls:
            await asyncio.sleep(0.01)
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
