"""The `dispatch`, `dispatch_many` and `schema` methods of the wrapper protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from st2sensor.container.sessions.node import Node
from st2sensor.container.sessions.session import Session
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import LeaseLost, OutboxError, SensorStops
from st2sensor.models import TraceContext, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.portable import rpc
from st2sensor.system.event_loop import Tasks

LOG = logging.getLogger("st2sensor.sessions")


KEY_LIMIT = 64
"""Maximum number of characters of an event's key."""


class EventMethods:
    """For the loop's thread."""

    def __init__(self, node: Node, dispatcher: Dispatcher) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._tasks = Tasks()

    def dispatch(self, session: Session, identifier: int | None, params: dict[str, Any], bodies: list[bytes]) -> None:
        """Dispatch an event, and answer once it is on disk. Raises LeaseLost, KeyError, TypeError and ValueError."""
        event = _event_of(params, bodies[0] if bodies else None)
        self._dispatch(session, identifier, [_Run(event.trigger, [event])], self._answer_of_one)

    def dispatch_many(
        self, session: Session, identifier: int | None, params: dict[str, Any], bodies: list[bytes]
    ) -> None:
        """Dispatch events, all or none, and answer once all are on disk. Raises as `dispatch` does."""
        self._dispatch(session, identifier, _runs_of(params["events"], bodies), self._answer_of_many)

    def answer_schema(self, session: Session, identifier: int | None, params: dict[str, Any]) -> None:
        """Answer with the schema by which a sensor checks a trigger's payloads. Raises KeyError and TypeError."""
        assert session.ref is not None
        found = self._dispatcher.schema_for(session.ref, self._dispatcher.type_of(params["trigger"]))
        session.answer(identifier, found)

    async def entry_of(self, ref: str, params: dict[str, Any], payload: bytes | None) -> Entry:
        """Return an event that a sensor dispatches as an outbox entry.

        :param payload: the payload, if it came as a body.

        Raises LeaseLost, KeyError, TypeError and ValueError.
        """
        event = _event_of(params, payload)
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is None:
            await self._refresh_for(ref)
        return await self._dispatcher.entry(ref, event, trigger_type)

    def _dispatch(self, session: Session, identifier: int | None, runs: Sequence[_Run], answer: Answer) -> None:
        types = [self._dispatcher.type_of(run.trigger) for run in runs]
        if None not in types:
            self._accept(session, identifier, runs, types, answer)
        else:
            self._tasks.start(self._dispatch_unknown(session, identifier, runs, answer))

    async def _dispatch_unknown(
        self, session: Session, identifier: int | None, runs: Sequence[_Run], answer: Answer
    ) -> None:
        """Read storage first, because a trigger may have been registered a moment ago, then dispatch the events."""
        assert session.ref is not None
        try:
            await self._refresh_for(session.ref)
            self._accept(session, identifier, runs, [self._dispatcher.type_of(run.trigger) for run in runs], answer)
        except LeaseLost as exception:
            session.refuse(identifier, exception)
        except Exception as exception:
            LOG.exception("%s: a dispatch failed", session.ref)
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)

    async def _refresh_for(self, ref: str) -> None:
        """Read storage. Raises LeaseLost if another container held the sensor meanwhile."""
        fence = self._dispatcher.fence_of(ref)
        await self._node.refresh()
        if self._dispatcher.fence_of(ref) != fence:
            raise LeaseLost(ref)

    def _accept(
        self,
        session: Session,
        identifier: int | None,
        runs: Sequence[_Run],
        types: Sequence[TriggerType | None],
        answer: Answer,
    ) -> None:
        ref = session.ref
        assert ref is not None
        news = answer(ref, runs, types)

        def done(error: Exception | None) -> None:
            if error is None:
                session.answer(identifier, news)
            elif isinstance(error, OutboxError) and self._node.is_stopping(ref):
                session.refuse(identifier, SensorStops(str(error)))
            else:
                session.refuse(identifier, error)

        if not session.is_released(identifier):
            typed = [(event, kind) for run, kind in zip(runs, types, strict=True) for event in run.events]
            self._dispatcher.dispatch_together(ref, typed, done)

    def _answer_of_one(self, ref: str, runs: Sequence[_Run], types: Sequence[TriggerType | None]) -> Any:
        return self._news_of(ref, runs[0], types[0])

    def _answer_of_many(self, ref: str, runs: Sequence[_Run], types: Sequence[TriggerType | None]) -> Any:
        """Return the new schemas, each with the index of its run; None if there are none."""
        news = (
            (number, self._news_of(ref, run, kind)) for number, (run, kind) in enumerate(zip(runs, types, strict=True))
        )
        return [[number, schema] for number, schema in news if schema is not None] or None

    def _news_of(self, ref: str, run: _Run, trigger_type: TriggerType | None) -> dict[str, object] | None:
        """Return the schema and key if they have changed since the sensor checked payloads of this type itself."""
        event = run.events[0]
        return None if event.schema is None else self._dispatcher.schema_for(ref, trigger_type, event)


class _Run(NamedTuple):
    """Events in a row that differ in nothing but their payloads.

    :param events: at least one.
    """

    trigger: str | Mapping[str, Any]
    events: Sequence[Event]


Answer = Callable[[str, Sequence[_Run], Sequence[TriggerType | None]], Any]
"""Function that makes the answer to a request, given its runs of events and their types."""


def _runs_of(declared: list[dict[str, Any]], bodies: list[bytes]) -> list[_Run]:
    """Return the events of a `dispatch_many`. Raises KeyError, TypeError and ValueError.

    :param declared: the parameters of a `dispatch` for each run, with the number of its events as `times`.
    """
    runs, start = [], 0
    for params in declared:
        times = params.get("times", 1)
        if type(times) is not int or times < 1:
            raise ValueError("times must be a number from 1")
        payloads = bodies[start : start + times]
        if len(payloads) < times:
            break
        keys = params.get("keys")
        if keys is not None and (type(keys) is not list or len(keys) != times):
            raise ValueError("there must be one key for each event")
        events = zip(payloads, keys or [None] * times, strict=True)
        runs.append(_Run(params["trigger"], [_event_of({**params, "key": key}, payload) for payload, key in events]))
        start += times
    if not runs or len(runs) < len(declared) or start != len(bodies):
        raise ValueError("there must be one payload for each event, and at least one event")
    return runs


def _event_of(params: dict[str, Any], payload: bytes | None) -> Event:
    """Return the event in the parameters of a `dispatch`. Raises KeyError.

    :param payload: the payload, if it came as a body; None if it is among the parameters.
    """
    trace = params.get("trace_context")
    schema, withheld, key = params.get("schema"), params.get("withheld"), params.get("key")
    return Event(
        trigger=params["trigger"],
        payload=rpc.body(params["payload"]) if payload is None else payload,
        trace_context=None if trace is None else TraceContext(id=trace.get("id"), tag=trace.get("tag")),
        tagged=bool(params.get("tagged")),
        schema=schema if isinstance(schema, str) else None,
        withheld=withheld if isinstance(withheld, str) else None,
        key=key if isinstance(key, str) and len(key) <= KEY_LIMIT else None,
    )
