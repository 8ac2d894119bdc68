"""Events that sensors dispatch: known, unknown, with an older schema, under a lease that is lost, and during a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest

from st2sensor.container.sessions.events import EventMethods
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import LeaseLost, OutboxError, SensorStops
from st2sensor.models import TriggerType
from st2sensor.outbox.incoming import OnDone
from st2sensor.portable import rpc
from tests.unit.container.sessions.fakes import FakeNode, RecordingSession, until


class FakeDispatcher:
    """Knows the digests of some triggers' schemas."""

    def __init__(self) -> None:
        self.digests = {"p.t": "new"}
        self.fence: int | None = 1
        self.look_ups = 0
        self.error: Exception | None = None
        self.outcome: Exception | None = None
        self.dispatched: list[Event] = []
        self.types: list[str | None] = []

    def type_of(self, trigger: str) -> TriggerType | None:
        self.look_ups += 1
        pack, _, name = trigger.partition(".")
        return TriggerType(pack=pack, name=name) if trigger in self.digests else None

    def schema_for(
        self,
        sensor: str,  # noqa: ARG002
        trigger_type: TriggerType | None,
        known: Event | None = None,
    ) -> dict[str, str | None] | None:
        if trigger_type is None or (known is not None and self.digests[trigger_type.ref] == known.schema):
            return None
        return {"digest": self.digests[trigger_type.ref], "program": "..."}

    def fence_of(self, sensor: str) -> int | None:
        if self.fence is None:
            raise LeaseLost(sensor)
        return self.fence

    def dispatch_together(self, sensor: str, events: Sequence[tuple[Event, TriggerType | None]], done: OnDone) -> None:
        assert sensor == "p.S"
        if self.error is not None:
            raise self.error
        self.dispatched += [event for event, _ in events]
        self.types += [None if known is None else known.ref for _, known in events]
        done(self.outcome)

    async def entry(self, sensor: str, event: Event, known: TriggerType | None) -> tuple[str, Event]:  # noqa: ARG002
        return sensor, event


class Container:
    def __init__(self) -> None:
        self.node, self.dispatcher, self.session = FakeNode(), FakeDispatcher(), RecordingSession()
        self.events = EventMethods(self.node, cast(Dispatcher, self.dispatcher))

    def dispatch(self, **params: Any) -> None:
        self.events.dispatch(self.session, 3, {"trigger": "p.t", **params}, [b"{}"])


def run(test: Callable[[Container], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Container())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("schema", "news"), [(None, None), ("new", None), ("old", {"digest": "new", "program": "..."})]
)
def test_one_look_up_finds_the_trigger_and_whether_its_schema_has_changed(schema: str | None, news: object) -> None:
    async def test(container: Container) -> None:
        container.dispatch(schema=schema)
        assert container.session.answers == [(3, news)]
        assert container.dispatcher.look_ups == 1
        assert container.dispatcher.dispatched[0].payload == b"{}"
        assert container.node.refreshes == 0

    run(test)


@pytest.mark.parametrize("schema", [None, "old"])
def test_storage_is_read_for_an_unknown_trigger_before_it_is_dispatched(schema: str | None) -> None:
    async def test(container: Container) -> None:
        container.node.refreshed = lambda: container.dispatcher.digests.update({"p.late": "newest"})
        container.dispatch(trigger="p.late", schema=schema)
        assert container.dispatcher.dispatched == []
        await until(lambda: bool(container.session.answers))
        assert container.node.refreshes == 1
        (answer,) = container.session.answers
        assert answer == (3, None if schema is None else {"digest": "newest", "program": "..."})

    run(test)


@pytest.mark.parametrize("fence", [None, 2])
def test_an_event_is_refused_if_the_sensor_was_somebody_elses_while_storage_was_read(fence: int | None) -> None:
    async def test(container: Container) -> None:
        container.node.refreshed = lambda: setattr(container.dispatcher, "fence", fence)
        container.dispatch(trigger="p.late")
        await until(lambda: bool(container.session.errors))
        assert isinstance(container.session.errors[0][1], LeaseLost)
        assert container.dispatcher.dispatched == []
        container.dispatcher.fence = 1
        with pytest.raises(LeaseLost):
            await container.events.entry_of("p.S", {"trigger": "p.late"}, b"{}")

    run(test)


def test_an_unforeseen_error_after_reading_storage_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(container: Container) -> None:
        container.dispatcher.error = MemoryError("no room")
        container.dispatch(trigger="p.late")
        await until(lambda: bool(container.session.errors))
        assert container.session.codes == [rpc.INTERNAL_ERROR]

    run(test)
    assert "p.S: a dispatch failed" in caplog.text


@pytest.mark.parametrize(
    ("outcome", "is_stopping", "told"),
    [
        (OutboxError("withdrawn"), True, SensorStops),
        (OutboxError("full disk"), False, OutboxError),
        (LeaseLost("p.S"), True, LeaseLost),
    ],
)
def test_an_outbox_that_fails_a_stopping_sensor_tells_it_to_stop(
    outcome: Exception, is_stopping: bool, told: type[Exception]
) -> None:
    async def test(container: Container) -> None:
        container.dispatcher.outcome = outcome
        container.node.stopping = {"p.S"} if is_stopping else set()
        container.dispatch()
        assert type(container.session.errors[0][1]) is told
        assert container.session.answers == []

    run(test)


def test_a_request_that_was_released_meanwhile_is_not_dispatched() -> None:
    async def test(container: Container) -> None:
        container.node.refreshed = lambda: container.session.release(1.0, SensorStops("it stops"))
        container.dispatch(trigger="p.late")
        await until(lambda: container.node.refreshes == 1)
        await asyncio.sleep(0)
        assert container.dispatcher.dispatched == []
        assert container.session.answers == container.session.errors == []

    run(test)


def test_an_entry_is_made_of_parameters_and_of_a_body() -> None:
    async def test(container: Container) -> None:
        made: Any = await container.events.entry_of("p.S", {"trigger": "p.t", "payload": {"n": 1}, "tagged": 1}, None)
        sensor, event = made
        assert sensor == "p.S"
        assert (event.payload, event.tagged) == (rpc.body({"n": 1}), True)
        params = {"trigger": "p.t", "trace_context": {"tag": "t"}, "schema": 5}
        made = await container.events.entry_of("p.S", params, b"[]")
        assert (made[1].payload, made[1].trace_context.tag, made[1].schema) == (b"[]", "t", None)
        with pytest.raises(KeyError):
            await container.events.entry_of("p.S", {"trigger": "p.t"}, None)

    run(test)


def test_a_schema_is_answered() -> None:
    async def test(container: Container) -> None:
        container.events.answer_schema(container.session, 1, {"trigger": "p.t"})
        container.events.answer_schema(container.session, 2, {"trigger": "p.none"})
        assert container.session.answers == [(1, {"digest": "new", "program": "..."}), (2, None)]

    run(test)


def many(container: Container, *events: dict[str, Any], bodies: int) -> None:
    params = {"events": [{"trigger": "p.t", **event} for event in events]}
    container.events.dispatch_many(container.session, 4, params, [b"%d" % number for number in range(bodies)])


def test_events_of_one_request_are_dispatched_together_with_one_look_up_for_each_run() -> None:
    async def test(container: Container) -> None:
        many(container, {"times": 3, "schema": "old"}, {"times": 1, "schema": "new", "tagged": True}, bodies=4)
        assert container.dispatcher.look_ups == 2
        assert [event.payload for event in container.dispatcher.dispatched] == [b"0", b"1", b"2", b"3"]
        assert [event.tagged for event in container.dispatcher.dispatched] == [False, False, False, True]
        assert container.session.answers == [(4, [[0, {"digest": "new", "program": "..."}]])]

    run(test)


def test_one_unknown_trigger_among_many_has_storage_read_once() -> None:
    async def test(container: Container) -> None:
        container.node.refreshed = lambda: container.dispatcher.digests.update({"p.late": "newest"})
        many(container, {"times": 2}, {"trigger": "p.late"}, {"trigger": "p.never"}, bodies=4)
        assert container.dispatcher.dispatched == []
        await until(lambda: bool(container.session.answers))
        assert container.node.refreshes == 1
        assert container.dispatcher.types == ["p.t", "p.t", "p.late", None]
        assert container.session.answers == [(4, None)]

    run(test)


@pytest.mark.parametrize(
    ("events", "bodies"),
    [([], 0), ([{"times": 2}], 1), ([{"times": 1}], 2), ([{"times": 0}], 0), ([{"times": True}], 1), ([{}, {}], 1)],
)
def test_events_and_payloads_that_do_not_match_are_refused(events: list[dict[str, Any]], bodies: int) -> None:
    async def test(container: Container) -> None:
        with pytest.raises(ValueError, match=r"event|times"):
            many(container, *events, bodies=bodies)
        assert container.dispatcher.dispatched == []

    run(test)
