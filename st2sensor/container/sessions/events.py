"""The `dispatch` and `schema` methods of the wrapper protocol."""

from __future__ import annotations

import logging
from typing import Any

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


class EventMethods:
    """For the loop's thread."""

    def __init__(self, node: Node, dispatcher: Dispatcher) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._tasks = Tasks()

    def dispatch(self, session: Session, identifier: int | None, params: dict[str, Any], bodies: list[bytes]) -> None:
        """Dispatch an event, and answer once it is on disk. Raises LeaseLost, KeyError, TypeError and ValueError."""
        event = _event_of(params, bodies[0] if bodies else None)
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is not None:
            self._accept(session, identifier, event, trigger_type)
        else:
            self._tasks.start(self._dispatch_unknown(session, identifier, event))

    def answer_schema(self, session: Session, identifier: int | None, params: dict[str, Any]) -> None:
        """Answer with the schema by which a sensor checks a trigger's payloads. Raises KeyError and TypeError."""
        session.answer(identifier, self._dispatcher.schema_for(self._dispatcher.type_of(params["trigger"])))

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

    async def _dispatch_unknown(self, session: Session, identifier: int | None, event: Event) -> None:
        """Read storage first, because the trigger may have been registered a moment ago, then dispatch the event."""
        assert session.ref is not None
        try:
            await self._refresh_for(session.ref)
            self._accept(session, identifier, event, self._dispatcher.type_of(event.trigger))
        except LeaseLost as exception:
            session.refuse(identifier, exception)
        except Exception as exception:
            LOG.exception("%s: a dispatch failed", session.ref)
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)

    async def _refresh_for(self, ref: str) -> None:
        """Read storage, which takes a while. Raises LeaseLost if another container held the sensor meanwhile."""
        fence = self._dispatcher.fence_of(ref)
        await self._node.refresh()
        if self._dispatcher.fence_of(ref) != fence:
            raise LeaseLost(ref)

    def _accept(self, session: Session, identifier: int | None, event: Event, trigger_type: TriggerType | None) -> None:
        # A sensor that has checked the payload itself is notified if the schema has changed since.
        news = None if event.schema is None else self._dispatcher.schema_for(trigger_type, event.schema)
        ref = session.ref
        assert ref is not None

        def done(error: Exception | None) -> None:
            if error is None:
                session.answer(identifier, news)
            elif isinstance(error, OutboxError) and self._node.is_stopping(ref):
                session.refuse(identifier, SensorStops(str(error)))
            else:
                session.refuse(identifier, error)

        if not session.is_released(identifier):
            self._dispatcher.dispatch(ref, event, done, trigger_type)


def _event_of(params: dict[str, Any], payload: bytes | None) -> Event:
    """Return the event in the parameters of a `dispatch`. Raises KeyError.

    :param payload: the payload, if it came as a body; None if it is among the parameters.
    """
    trace = params.get("trace_context")
    schema, withheld = params.get("schema"), params.get("withheld")
    return Event(
        trigger=params["trigger"],
        payload=rpc.body(params["payload"]) if payload is None else payload,
        trace_context=None if trace is None else TraceContext(id=trace.get("id"), tag=trace.get("tag")),
        tagged=bool(params.get("tagged")),
        schema=schema if isinstance(schema, str) else None,
        withheld=withheld if isinstance(withheld, str) else None,
    )
