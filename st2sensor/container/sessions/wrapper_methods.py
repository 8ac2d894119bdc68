"""What wrappers may ask of the container: the methods of the wrapper protocol."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from st2sensor.container.sessions.activity import interval_told, method_told
from st2sensor.container.sessions.session import Session, Waiting
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import LeaseLost, OutboxError, RpcError, SensorStops, St2SensorError
from st2sensor.models import TraceContext, Trigger, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.portable import rpc

LOG = logging.getLogger("st2sensor.sessions")


class Sensors(Protocol):
    """What wrappers tell of their sensors, and what they are told of them."""

    async def sensor_of(self, token: str) -> str | None:
        """The sensor that a token was given to."""

    def log_level(self, ref: str) -> int:
        """The least severe level of a sensor's records that is wanted."""

    def is_ready(self, ref: str) -> None:
        """A sensor enters setup()."""

    def is_set_up(self, ref: str) -> None:
        """A sensor's setup() has returned."""

    def ends(self, ref: str) -> None:
        """A sensor's cleanup() is entered."""

    def polls(self, ref: str, running: bool, interval: float | None) -> None:
        """A sensor's poll() begins, or is over; it polls every so many seconds."""

    def hears(self, ref: str, method: str, running: bool) -> None:
        """A sensor's add_trigger(), or one of its like, begins, or is over."""

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        """A sensor logs."""


class Node(Protocol):
    """What the methods need of the supervisor."""

    async def assignment(self, ref: str) -> dict[str, Any]:
        """What a wrapper needs to run a sensor."""

    def triggers_of(self, ref: str) -> list[Trigger]:
        """The triggers a sensor is to hear of."""

    async def refresh(self) -> None:
        """Look into storage now."""

    def is_stopping(self, ref: str) -> bool:
        """Whether a sensor has been asked to stop. From any thread."""

    def use_datastore(self, session: Session, identifier: int | None, method: str, params: dict[str, Any]) -> None:
        """A sensor asks for one of the datastore's methods."""


class WrapperMethods:
    """Answers every session; for the supervisor's thread.

    :param user: the `[system_user]`.
    """

    def __init__(self, node: Node, sensors: Sensors, dispatcher: Dispatcher, *, user: str) -> None:
        self._node = node
        self._sensors = sensors
        self._dispatcher = dispatcher
        self._user = user
        self._heard: dict[Session, dict[str, Trigger]] = {}
        """Sessions that hear of triggers, with the triggers by id as they were last told."""
        self._sessions: dict[str, set[Session]] = {}
        """Sessions by sensor."""
        self._listening: set[Session] = set()
        """Sessions that are told what does not concern triggers."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods: dict[str, Callable[[str, dict[str, Any]], Awaitable[Any]]] = {
            "user.info": self._user_info,
            "assignment": self._assignment,
        }
        self._notifications: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "ready": lambda ref, _: sensors.is_ready(ref),
            "set_up": lambda ref, _: sensors.is_set_up(ref),
            "ending": lambda ref, _: sensors.ends(ref),
            "poll": lambda ref, params: sensors.polls(ref, bool(params["running"]), interval_told(params)),
            "hear": lambda ref, params: sensors.hears(ref, method_told(params), bool(params["running"])),
            "log": _logged(sensors),
        }

    def handle(self, session: Session, message: rpc.Message) -> None:
        identifier = message.get("id")
        if identifier is not None and not isinstance(identifier, int):
            session.refuse(None, RpcError("an id must be an integer"))
            return
        method = message.get("method")
        if identifier is not None and session.ref is not None:
            session.expect(identifier, str(method))
        try:
            self._act(session, method, identifier, message.get("params") or {}, message["bodies"])
        except LeaseLost as exception:
            session.refuse(identifier, exception)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as exception:
            session.refuse(identifier, RpcError(f"malformed request: {exception!r}"))
        except Exception as exception:
            LOG.exception("%s: a request failed", session.ref)
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)

    def _act(
        self,
        session: Session,
        method: str | None,
        identifier: int | None,
        params: dict[str, Any],
        bodies: list[bytes],
    ) -> None:
        if session.ref is not None and method == "dispatch":
            self._dispatch(session, identifier, params, bodies)
        elif session.ref is not None and method == "schema":
            session.answer(identifier, self._dispatcher.schema_for(self._dispatcher.type_of(params["trigger"])))
        elif method == "hello":
            self._spawn(self._hello(session, identifier, str(params.get("token")), params.get("version")))
        elif session.ref is None:
            session.refuse(identifier, RpcError("say hello first"))
            session.close()
        elif method is not None and method.startswith("datastore."):
            self._node.use_datastore(session, identifier, method, with_texts(params, bodies))
        elif method in self._methods:
            self._spawn(self._answer(session, identifier, self._methods[method](session.ref, params)))
        elif method == "listen":
            self._listening.add(session)
            session.notify("log.level", {"level": self._sensors.log_level(session.ref)})
        elif method == "subscribe":
            self._heard[session] = {}
            self._tell(session)
            session.notify("trigger.known", {})
        elif method in self._notifications:
            self._notifications[method](session.ref, params)
        else:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)

    def closed(self, session: Session) -> None:
        self._heard.pop(session, None)
        self._listening.discard(session)
        if session.ref is not None:
            sessions = self._sessions.get(session.ref, set())
            sessions.discard(session)
            if not sessions:
                self._sessions.pop(session.ref, None)

    def hang_up(self, ref: str) -> None:
        """The sensor's process has ended: hear out what it has said, and end its sessions."""
        for session in list(self._sessions.get(ref, ())):
            session.hear_out()
            session.close()
        self._sessions.pop(ref, None)

    def oldest(self, ref: str) -> Waiting | None:
        """The request of a sensor, its forks included, that waits longest for its answer."""
        found = [session.oldest for session in self._sessions.get(ref, ())]
        return min((waiting for waiting in found if waiting), key=lambda waiting: waiting.since, default=None)

    def heard_at(self, ref: str) -> float | None:
        """When a sensor last said something, by the loop's clock."""
        return max((session.heard_at for session in self._sessions.get(ref, ())), default=None)

    def release(self, ref: str, before: float, error: Exception) -> None:
        """Refuse what a sensor has asked for before a time of the loop's clock, whatever becomes of it."""
        for session in self._sessions.get(ref, ()):
            session.release(before, error)

    def tell_triggers(self) -> None:
        """Tell every sensor what has changed about its triggers since it was last told."""
        for session in self._heard:
            self._tell(session)

    def tell_log_level(self, ref: str, level: int) -> None:
        """Tell a sensor which of its records are wanted from now on."""
        for session in self._sessions.get(ref, set()) & self._listening:
            session.notify("log.level", {"level": level})

    def _tell(self, session: Session) -> None:
        assert session.ref is not None
        told = self._heard[session]
        current = {trigger.id or trigger.ref: trigger for trigger in self._node.triggers_of(session.ref)}
        for identifier, trigger in current.items():
            if identifier not in told:
                session.notify("trigger.add", {"trigger": _fields(trigger)})
            elif told[identifier].uid != trigger.uid:
                session.notify("trigger.update", {"trigger": _fields(trigger)})
        for identifier, trigger in told.items():
            if identifier not in current:
                session.notify("trigger.remove", {"trigger": _fields(trigger)})
        self._heard[session] = current

    async def _hello(self, session: Session, identifier: int | None, token: str, version: Any) -> None:
        ref = await self._sensors.sensor_of(token)
        if session.is_closed:
            return
        if ref is None:
            session.refuse(identifier, RpcError("unknown token"))
            session.close()
            return
        if version != rpc.PROTOCOL_VERSION:
            error = RpcError(f"this container speaks version {rpc.PROTOCOL_VERSION} of the wrapper protocol")
            session.refuse(identifier, error)
            return
        session.ref = ref
        self._sessions.setdefault(ref, set()).add(session)
        session.answer(identifier, {"ref": ref})

    async def _assignment(self, ref: str, params: dict[str, Any]) -> Any:  # noqa: ARG002 (it has none)
        return await self._node.assignment(ref)

    async def _answer(self, session: Session, identifier: int | None, value: Awaitable[Any]) -> None:
        try:
            answer = await value
        except (St2SensorError, TypeError, ValueError) as exception:
            session.refuse(identifier, exception)
        except Exception as exception:
            LOG.exception("%s: a request failed", session.ref)
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)
        else:
            session.answer(identifier, answer)

    def _dispatch(self, session: Session, identifier: int | None, params: dict[str, Any], bodies: list[bytes]) -> None:
        event = _event_of(params, bodies[0] if bodies else None)
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is not None:
            self._accept(session, identifier, event, trigger_type)
        else:
            self._spawn(self._dispatch_unknown(session, identifier, event))

    async def _dispatch_unknown(self, session: Session, identifier: int | None, event: Event) -> None:
        """It may have been registered a moment ago: look before it becomes a dead letter."""
        assert session.ref is not None
        try:
            await self._refresh_for(session.ref)
            self._accept(session, identifier, event, self._dispatcher.type_of(event.trigger))
        except LeaseLost as exception:
            session.refuse(identifier, exception)
        except Exception as exception:
            LOG.exception("%s: a dispatch failed", session.ref)
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)

    async def entry_of(self, ref: str, params: dict[str, Any], payload: bytes | None) -> Entry:
        """An event that a sensor dispatches, as it goes into the outbox."""
        event = _event_of(params, payload)
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is None:
            await self._refresh_for(ref)
        return await self._dispatcher.entry(ref, event, trigger_type)

    async def _refresh_for(self, ref: str) -> None:
        """Look into storage, which takes a while. Raises LeaseLost when the sensor was somebody else's meanwhile."""
        fence = self._dispatcher.fence_of(ref)
        await self._node.refresh()
        if self._dispatcher.fence_of(ref) != fence:
            raise LeaseLost(ref)

    def _accept(self, session: Session, identifier: int | None, event: Event, trigger_type: TriggerType | None) -> None:
        # One that has checked by itself learns of a schema that has changed since.
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

    async def _user_info(self, ref: str, params: dict[str, Any]) -> Any:  # noqa: ARG002
        return {
            "username": self._user,
            "rbac": {"enabled": False, "roles": [], "is_admin": False},
            "authentication": {"method": "system user", "location": None},
        }

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def with_texts(params: dict[str, Any], bodies: list[bytes]) -> dict[str, Any]:
    """The parameters of a datastore's method, of which what may be long has come in bodies. Raises ValueError."""
    names = params.pop("texts", [])
    if not bodies and not names:
        return params
    if not isinstance(names, list) or len(names) > len(bodies):
        raise ValueError("texts names the parameters that are bodies")
    found = {str(name): _text(body) for name, body in zip(names, bodies, strict=False)}
    return {**params, **found, **({"payloads": bodies[len(names) :]} if len(bodies) > len(names) else {})}


def _text(body: bytes) -> str:
    """A body that is a string: decoding anything else could take long. Raises ValueError."""
    if body[:1] != b'"':
        raise ValueError("a text must be a JSON string")
    text: str = json.loads(body)
    return text


def _event_of(params: dict[str, Any], payload: bytes | None) -> Event:
    """An event as a wrapper dispatches it. Raises KeyError.

    :param payload: what has come as a body; None for a payload among the parameters.
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


def _logged(sensors: Sensors) -> Callable[[str, dict[str, Any]], None]:
    def log(ref: str, params: dict[str, Any]) -> None:
        sensors.log(ref, str(params.get("logger", ref)), int(params.get("level", logging.INFO)), str(params["message"]))

    return log


def _fields(trigger: Trigger) -> dict[str, Any]:
    """A trigger as add_trigger() gets it: StackStorm's keys."""
    return {
        "id": trigger.id,
        "uid": trigger.uid,
        "ref": trigger.ref,
        "name": trigger.name,
        "pack": trigger.pack,
        "type": trigger.type,
        "parameters": dict(trigger.parameters),
    }
