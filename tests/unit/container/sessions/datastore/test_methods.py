"""The datastore's methods: the call of the keys that each makes, its answer, and its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.call import OnDone
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.datastore.sensor_keys import Found, SensorKeys
from st2sensor.errors import DatastoreError, DatastoreUnavailable, OutboxError
from st2sensor.models import Change, KeyValue
from st2sensor.portable import rpc
from st2sensor.portable.keyspace import Asker
from tests.unit.container.sessions.fakes import FakeNode, RecordingSession, until

ENTRY = KeyValue(name="k", value="v", expire_timestamp=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))

CHANGE = Change(old=None, new=ENTRY)

FOUND = {
    "name": "k",
    "value": "v",
    "secret": False,
    "encrypted": False,
    "expire_timestamp": "2030-01-02T03:04:05.000000Z",
}


class Parts:
    """The parts around the methods. Calls are made at once."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.options: list[tuple[bool, bool]] = []
        self.announced: list[Change] = []
        self.flushed = False
        self.unfinished: set[str] = set()
        self.finish_error: Exception | None = None
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.finished: list[bool] = []
        self.session = RecordingSession()
        self.methods = DatastoreMethods(
            FakeNode(),
            cast(SensorKeys, self),
            cast(LeasedCalls, self),
            cast(Batches, self),
            cast(Announcer, self),
        )

    # The keys.

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in ("get", "list", "set", "compare_and_set", "delete"):
            raise AttributeError(method)

        def call(asker: Asker, **params: Any) -> Any:
            assert asker == Asker(sensor="p.S")
            self.asked.append((method, params))
            result = self.results[method]
            if isinstance(result, Exception):
                raise result
            return result

        return call

    # The calls.

    def submit(
        self, ref: str, call: Callable[[], Any], done: OnDone, *, repeatable: bool = True, writes: bool = False
    ) -> None:
        assert ref == "p.S"
        self.options.append((repeatable, writes))
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 (as the real one does)
            done(None, error)
        else:
            done(result, None)

    # The batches.

    def may_have_unfinished(self, ref: str) -> bool:
        return ref in self.unfinished

    def mark_unfinished(self, ref: str) -> None:
        self.unfinished.add(ref)

    async def finish_all(self, ref: str, *, patient: bool = True) -> None:
        await self.may_finish.wait()
        if self.finish_error is not None:
            raise self.finish_error
        self.finished.append(patient)
        self.unfinished.discard(ref)

    async def dispatch_and_set(self, ref: str, **params: Any) -> Any:
        self.asked.append((ref, params))
        result = self.results["batch"]
        if isinstance(result, Exception):
            raise result
        return result

    # The announcer.

    def announce(self, change: Change) -> None:
        self.announced.append(change)

    def flush(self) -> None:
        self.flushed = True

    def ask(self, method: str, **params: Any) -> None:
        self.methods.handle(self.session, 5, f"datastore.{method}", params)


def run(test: Callable[[Parts], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Parts())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "result", "answer", "options"),
    [
        ("get", Found(entry=ENTRY, encrypted=False), FOUND, (True, False)),
        ("get", None, None, (True, False)),
        ("list", [Found(entry=ENTRY, encrypted=False)], [FOUND], (True, False)),
        ("set", CHANGE, True, (True, True)),
        ("compare_and_set", CHANGE, True, (False, True)),
        ("compare_and_set", None, False, (False, True)),
        ("delete", Change(old=ENTRY, new=None), True, (False, True)),
        ("delete", None, False, (False, True)),
    ],
)
def test_each_method_asks_answers_and_announces_its_change(
    method: str, result: Any, answer: Any, options: tuple[bool, bool]
) -> None:
    async def test(parts: Parts) -> None:
        parts.results[method] = result
        parts.ask(method, name="k")
        assert parts.asked == [(method, {"name": "k"})]
        assert parts.session.answers == [(5, answer)]
        assert parts.options == [options]
        assert parts.announced == ([result] if isinstance(result, Change) else [])

    run(test)


def test_there_are_no_other_methods() -> None:
    async def test(parts: Parts) -> None:
        parts.ask("drop")
        assert parts.session.codes == [rpc.METHOD_NOT_FOUND]

    run(test)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatastoreError("no room"), rpc.APPLICATION_ERROR),
        (ValueError("too long"), rpc.APPLICATION_ERROR),
        (TypeError("no such parameter"), rpc.APPLICATION_ERROR),
        (MemoryError("oh"), rpc.INTERNAL_ERROR),
    ],
)
def test_errors_are_told_and_the_unforeseen_ones_logged(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(parts: Parts) -> None:
        parts.results["set"] = parts.results["batch"] = error
        parts.ask("set")
        parts.ask("dispatch_and_set")
        await until(lambda: len(parts.session.errors) == 2)
        assert parts.session.errors == [(5, error), (5, error)]
        assert parts.session.codes == [code, code]
        assert parts.announced == []
        assert not parts.unfinished

    run(test)
    assert ("a datastore call failed" in caplog.text) is (code == rpc.INTERNAL_ERROR)


def test_after_a_write_of_unknown_outcome_the_next_call_waits_until_that_is_clear() -> None:
    async def test(parts: Parts) -> None:
        parts.results["set"] = DatastoreUnavailable("away", uncertain=True)
        parts.results["get"] = None
        parts.ask("set")
        assert parts.unfinished == {"p.S"}
        parts.may_finish.clear()
        parts.ask("get")
        await asyncio.sleep(0)
        assert [method for method, _ in parts.asked] == ["set"]
        parts.may_finish.set()
        await until(lambda: bool(parts.session.answers))
        assert [method for method, _ in parts.asked] == ["set", "get"]
        assert parts.finished == [True]
        parts.results["set"] = DatastoreUnavailable("away")
        parts.ask("set")
        assert parts.unfinished == set()

    run(test)


def test_a_call_that_cannot_have_its_turn_is_refused() -> None:
    async def test(parts: Parts) -> None:
        parts.unfinished.add("p.S")
        parts.finish_error = OutboxError("full disk")
        parts.ask("get")
        await until(lambda: bool(parts.session.errors))
        assert parts.session.errors == [(5, parts.finish_error)]
        assert parts.asked == []

    run(test)


def test_a_start_carries_out_batches_but_does_not_wait_for_a_database_that_is_away() -> None:
    async def test(parts: Parts) -> None:
        await parts.methods.carry_out_batches("p.S")
        assert parts.finished == [False]
        parts.finish_error = DatastoreUnavailable("away")
        with pytest.raises(DatastoreUnavailable):
            await parts.methods.carry_out_batches("p.S")
        assert parts.unfinished == {"p.S"}

    run(test)


def test_the_end_cancels_requests_that_wait_and_announces_the_rest() -> None:
    async def test(parts: Parts) -> None:
        parts.unfinished.add("p.S")
        parts.may_finish.clear()
        parts.ask("get")
        await asyncio.sleep(0)
        await parts.methods.close()
        assert parts.flushed
        parts.may_finish.set()
        await asyncio.sleep(0)
        assert parts.asked == []
        assert parts.session.answers == []

    run(test)
