"""Batches: their order of steps, what a refusal or an unknown outcome leaves behind, and a stop in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import pytest

from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.errors import DatastoreError, DatastoreUnavailable, LeaseLost, OutboxError, StorageUnavailable
from st2sensor.models import Batch, Change, KeyValue
from st2sensor.outbox.entry import Entry
from st2sensor.portable.keyspace import Asker
from tests.unit.container.sessions.fakes import FakeNode, until

ENTRY = Entry(message_id="", sensor="p.S", trigger="p.t", trigger_type="p.t", created=1.0, body="{}", fence=1)

OTHERS = Batch(id="other", sensor="p.Other", name="k", expected=None, value="v", events=(), fence=None)


class Parts:
    """The parts around batches. Records the steps that batches request."""

    def __init__(self) -> None:
        self.steps: list[object] = []
        self.stored: list[Batch] = []
        self.in_the_way: Batch | None = None
        self.begin_error: Exception | None = None
        self.put_error: Exception | None = None
        self.is_other = False
        self.may_put = asyncio.Event()
        self.may_put.set()
        self.fence: int | None = 1
        self.patient: list[bool] = []
        self.batches = Batches(
            FakeNode(),
            cast(SensorKeys, self),
            cast(LeasedCalls, self),
            cast(Dispatcher, self),
            self.entry_of,
            cast(Announcer, self),
        )

    async def entry_of(self, ref: str, params: dict[str, Any], payload: bytes | None) -> Entry:  # noqa: ARG002
        return replace(ENTRY, message_id=params["id"], body=(payload or b"{}").decode())

    # The keys.

    def begin(self, asker: Asker, draft: Batch, *, local: bool, is_expected: bool) -> Batch | None:  # noqa: ARG002
        if self.begin_error is not None:
            raise self.begin_error
        if self.is_other:
            return None
        if self.in_the_way is None:
            self.steps.append("begin")
            self.stored.append(draft)
        return self.in_the_way or draft

    def unfinished(self, ref: str) -> list[Batch]:
        return [batch for batch in self.stored if batch.sensor == ref]

    def finish(self, batch: Batch) -> Change | None:
        self.steps.append(("finish", batch.sensor))
        self.stored = [other for other in self.stored if other.id != batch.id]
        return Change(old=None, new=KeyValue(name=batch.name, value=batch.value))

    # The calls.

    def fence_of(self, ref: str) -> int | None:
        if self.fence is None:
            raise LeaseLost(ref)
        return self.fence

    async def run(self, ref: str, call: Callable[[], Any], *, writes: bool = False, patient: bool = True) -> Any:
        assert ref == "p.S"
        self.patient.append(patient)
        await asyncio.sleep(0)
        result = call()
        assert writes or not isinstance(result, Batch)
        return result

    # The dispatcher.

    def adopted(self, entry: Entry, sensor: str) -> Entry:
        return replace(entry, fence=self.fence if entry.sensor == sensor else None)

    async def put(self, entries: Sequence[Entry]) -> None:
        await self.may_put.wait()
        if self.put_error is not None:
            raise self.put_error
        self.steps += [("put", entry.message_id, entry.fence) for entry in entries]

    # The announcer.

    def announce(self, change: Change) -> None:
        assert change.new is not None
        self.steps.append(("announce", change.new.value))

    async def ask(self, *ids: str, payloads: list[bytes] | None = None) -> bool:
        return await self.batches.dispatch_and_set(
            "p.S",
            events=[{"id": identifier} for identifier in ids],
            name="k",
            value="v",
            local=True,
            is_expected=False,
            expected=None,
            payloads=payloads,
        )


def run(test: Callable[[Parts], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Parts())

    asyncio.run(main())


def test_the_triggers_go_before_the_key_and_then_nothing_waits() -> None:
    async def test(parts: Parts) -> None:
        assert await parts.ask("a", "b") is True
        assert parts.steps == ["begin", ("put", "a", 1), ("put", "b", 1), ("finish", "p.S"), ("announce", "v")]
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


def test_another_value_than_the_expected_one_does_nothing() -> None:
    async def test(parts: Parts) -> None:
        parts.is_other = True
        assert await parts.ask("a") is False
        assert parts.steps == []
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


@pytest.mark.parametrize("error", [TypeError("no string"), ValueError("too long")])
def test_a_refused_batch_leaves_nothing_to_wait_for(error: Exception) -> None:
    async def test(parts: Parts) -> None:
        parts.begin_error = error
        with pytest.raises(type(error)):
            await parts.ask("a")
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


def test_a_batch_of_which_nobody_knows_whether_it_is_stored_is_looked_for_before_the_next_call() -> None:
    async def test(parts: Parts) -> None:
        parts.begin_error = DatastoreUnavailable("away", uncertain=True)
        with pytest.raises(DatastoreUnavailable):
            await parts.ask("a")
        assert parts.batches.may_have_unfinished("p.S")
        # It was stored.
        stored = asdict(replace(ENTRY, message_id="a", fence=0))
        parts.stored = [replace(OTHERS, id="1", sensor="p.S", events=(stored,))]
        parts.begin_error = None
        await parts.batches.finish_all("p.S")
        # The trigger is sent under the current fence.
        assert parts.steps == [("put", "a", 1), ("finish", "p.S"), ("announce", "v")]
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


@pytest.mark.parametrize("error", [OutboxError("full disk"), LeaseLost("p.S")])
def test_a_stored_batch_that_cannot_be_carried_out_now_is_done_later(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(parts: Parts) -> None:
        parts.put_error = error
        assert await parts.ask("a") is True
        assert parts.steps == ["begin"]
        assert parts.batches.may_have_unfinished("p.S")
        with pytest.raises(type(error)):
            await parts.batches.finish_all("p.S", patient=False)
        assert parts.patient[-1] is False
        assert parts.batches.may_have_unfinished("p.S")
        parts.put_error = None
        assert await parts.ask("b") is True
        assert parts.steps[1:4] == [("put", "a", 1), ("finish", "p.S"), ("announce", "v")]
        assert parts.steps[4:6] == ["begin", ("put", "b", 1)]

    run(test)
    assert caplog.text.count("will be carried out before the sensor's next call") == 1


def test_another_sensors_batch_in_the_way_is_carried_out_and_this_one_is_not_stored() -> None:
    async def test(parts: Parts) -> None:
        theirs = asdict(replace(ENTRY, sensor="p.Other", message_id="theirs"))
        parts.in_the_way = replace(OTHERS, events=(theirs,))
        assert await parts.ask("a") is False
        # Another sensor's batch needs no lease of this sensor.
        assert parts.steps == [("put", "theirs", None), ("finish", "p.Other"), ("announce", "v")]
        assert not parts.batches.may_have_unfinished("p.S")
        parts.put_error = OutboxError("full disk")
        assert await parts.ask("a") is False
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


@pytest.mark.parametrize("event", [{"trigger": "p.t"}, {**asdict(ENTRY), "body": 5}, {**asdict(ENTRY), "more": 1}])
def test_a_batch_of_another_version_is_not_touched(event: dict[str, Any]) -> None:
    async def test(parts: Parts) -> None:
        parts.stored = [replace(OTHERS, id="1", sensor="p.S", events=(asdict(ENTRY), event))]
        parts.batches.mark_unfinished("p.S")
        with pytest.raises(DatastoreError, match="another version"):
            await parts.batches.finish_all("p.S")
        assert parts.steps == []
        assert parts.batches.may_have_unfinished("p.S")

    run(test)


def test_a_payload_belongs_to_each_event() -> None:
    async def test(parts: Parts) -> None:
        with pytest.raises(ValueError, match="one payload for each event"):
            await parts.ask("a", "b", payloads=[b"{}"])
        parts.fence = None
        with pytest.raises(LeaseLost):
            await parts.ask("a", payloads=[b"{}"])
        assert parts.steps == []
        assert not parts.batches.may_have_unfinished("p.S")

    run(test)


def test_a_stop_while_triggers_are_put_leaves_the_batch_for_the_next_start() -> None:
    async def test(parts: Parts) -> None:
        parts.may_put.clear()
        asked = asyncio.ensure_future(parts.ask("a"))
        await until(lambda: parts.steps == ["begin"])
        asked.cancel()
        await asyncio.wait([asked])
        assert parts.batches.may_have_unfinished("p.S")
        parts.may_put.set()
        # Nobody holds the sensor's lock any more.
        await parts.batches.finish_all("p.S")
        assert parts.steps[1:3] == [("put", "a", 1), ("finish", "p.S")]

    run(test)


def test_calls_wait_for_a_batch_that_is_under_way() -> None:
    async def test(parts: Parts) -> None:
        parts.may_put.clear()
        asked = asyncio.ensure_future(parts.ask("a"))
        await until(lambda: parts.steps == ["begin"])
        assert parts.batches.may_have_unfinished("p.S")
        later = asyncio.ensure_future(parts.batches.finish_all("p.S"))
        await asyncio.sleep(0)
        assert not later.done()
        parts.may_put.set()
        assert await asked is True
        await later
        assert parts.steps.count(("finish", "p.S")) == 1

    run(test)


def test_nothing_is_asked_of_a_database_for_a_sensor_without_batches() -> None:
    async def test(parts: Parts) -> None:
        parts.begin_error = StorageUnavailable("away")
        await parts.batches.finish_all("p.S")
        assert parts.patient == []

    run(test)
