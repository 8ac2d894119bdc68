"""Calls of the datastore while the database is away, with a database that the test takes away."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from st2sensor.container.sessions.datastore import database_calls as module
from st2sensor.container.sessions.datastore.call_threads import SHARE
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.errors import DatastoreError, DatastoreUnavailable, StorageError, StorageUnavailable
from tests.plugins.patience import AT_LAST, SOON


class Database:
    def __init__(self) -> None:
        self.away = False
        self.odd = False
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
        if self.odd:
            raise MemoryError
        self._look()

    def _look(self) -> None:
        if self.away:
            raise StorageUnavailable("away", uncertain=self.uncertain)


def run(test: Callable[[Database, DatabaseCalls], Any], timeout: float = AT_LAST) -> None:
    async def main() -> None:
        database = Database()
        storing = DatabaseCalls(asyncio.get_running_loop(), database.ping, timeout)
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
    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.away = True
        calls = [asyncio.ensure_future(storing.run("p.S", database.call)) for _ in range(20)]
        await until(lambda: len(storing._held) == len(calls))
        # The database is now known to be away, and only the probe tries to reach it.
        calls_before, probes_before = database.calls, database.probes
        await until(lambda: database.probes >= probes_before + 2)
        assert database.calls == calls_before
        assert not any(call.done() for call in calls)
        database.away = False
        assert await asyncio.gather(*calls) == ["done"] * 20

    run(test)


def test_a_call_gives_up_at_its_deadline() -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.away = True
        with pytest.raises(DatastoreUnavailable, match="away"):
            await storing.run("p.S", database.call)

    run(test, timeout=0.3)


def test_what_may_have_been_done_is_not_repeated_unless_that_does_no_harm() -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
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
    async def test(database: Database, storing: DatabaseCalls) -> None:
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
    async def test(database: Database, storing: DatabaseCalls) -> None:  # noqa: ARG001
        def refuse(error: Exception) -> Callable[[], None]:
            def call() -> None:
                raise error

            return call

        with pytest.raises(DatastoreError, match="no room"):
            await storing.run("p.S", refuse(StorageError("no room")))
        with pytest.raises(ValueError, match="mine"):
            await storing.run("p.S", refuse(ValueError("mine")))

    run(test)


def test_slow_calls_of_one_sensor_leave_threads_to_the_others() -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.slow.clear()
        slow = [asyncio.ensure_future(storing.run("p.Slow", database.call)) for _ in range(50)]
        await until(lambda: database.calls == SHARE)
        assert await storing.run("p.Other", lambda: "at once") == "at once"
        assert database.calls == SHARE
        database.slow.set()
        assert await asyncio.gather(*slow) == ["done"] * 50

    run(test)


def test_a_sensor_that_stops_is_let_out_of_calls_that_the_database_does_not_answer() -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
        loop = asyncio.get_running_loop()
        database.slow.clear()
        calls = [asyncio.ensure_future(storing.run("p.S", database.call)) for _ in range(SHARE + 1)]
        other = asyncio.ensure_future(storing.run("p.Other", database.call))
        await until(lambda: database.calls == SHARE + 1)
        storing.release("p.S", loop.time() - AT_LAST)
        assert not any(call.done() for call in calls)
        storing.release("p.S", loop.time())
        for call in calls:
            with pytest.raises(DatastoreUnavailable, match="asked to stop before the database answered"):
                await call
        database.slow.set()
        assert await other == "done"
        # The call whose turn had not come is no longer made.
        assert await storing.run("p.S", lambda: database.calls) == SHARE + 1

    run(test)


def test_a_call_that_is_never_answered_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OVERDUE_CHECK_INTERVAL", 0.05)

    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.slow.clear()
        with pytest.raises(DatastoreUnavailable, match=r"has not answered within 0\.1 s"):
            await storing.run("p.S", database.call)
        database.slow.set()

    run(test, timeout=0.1)


class Large:
    """Stands for a large value."""


def test_a_call_that_fails_keeps_nothing_in_memory() -> None:
    async def test(_: Database, storing: DatabaseCalls) -> None:
        def refuse(value: Large) -> None:
            raise LookupError(type(value).__name__)

        value = Large()
        gone = weakref.ref(value)
        gc.disable()
        try:
            with pytest.raises(LookupError):
                await storing.run("p.S", partial(refuse, value))
            del value
            # The thread drops a call before it takes the next one.
            await until(lambda: gone() is None)
        finally:
            gc.enable()

    run(test)


def test_an_unforeseen_error_of_the_probe_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.away = True
        call = asyncio.ensure_future(storing.run("p.S", database.call))
        await until(lambda: database.probes > 0)
        database.odd = True
        before = database.probes
        await until(lambda: database.probes > before + 2)
        database.away = database.odd = False
        assert await call == "done"

    run(test)
    assert caplog.text.count("cannot tell whether the database is back") == 1


def test_a_thread_that_cannot_be_started_ends_nothing_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "OVERDUE_CHECK_INTERVAL", 0.05)
    start = threading.Thread.start
    refusals: list[threading.Thread] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("datastore") and len(refusals) < 3:
            refusals.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    async def test(database: Database, storing: DatabaseCalls) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert await storing.run("p.S", database.call) == "done"
        assert len(refusals) == 3

    run(test)
    assert caplog.text.count("no more can be started") == 1


def test_a_write_that_may_have_been_done_says_so_when_it_is_given_up() -> None:
    async def test(database: Database, storing: DatabaseCalls) -> None:
        database.away = database.uncertain = True
        with pytest.raises(DatastoreUnavailable, match="is not known") as raised:
            await storing.run("p.S", database.call, writes=True)
        assert raised.value.uncertain
        with pytest.raises(DatastoreUnavailable) as raised:
            await storing.run("p.S", database.call)
        assert not raised.value.uncertain

    run(test, timeout=0.3)
