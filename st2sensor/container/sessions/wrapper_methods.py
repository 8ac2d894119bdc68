"""The methods of the wrapper protocol, which wrappers call in the container."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from st2sensor.container.sessions.activity import poll_interval_of, trigger_method_of
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.node import Node
from st2sensor.container.sessions.session import Session, Waiting
from st2sensor.errors import DatastoreError, LeaseLost, OutboxError, RpcError, St2SensorError
from st2sensor.models import Trigger
from st2sensor.portable import rpc
from st2sensor.system.event_loop import Tasks

LOG = logging.getLogger("st2sensor.sessions")


class Sensors(Protocol):
    """The running sensors: takes the reports of their wrappers."""

    async def sensor_of(self, token: str) -> str | None:
        """Return the sensor that a token was given to; None for an unknown token."""

    def log_level(self, ref: str) -> int:
        """Return the minimum level of the log records that a sensor should send."""

    def is_ready(self, ref: str) -> None:
        """Note that a sensor enters setup()."""

    def is_set_up(self, ref: str) -> None:
        """Note that a sensor's setup() has returned."""

    def ends(self, ref: str) -> None:
        """Note that a sensor enters cleanup()."""

    def polls(self, ref: str, running: bool, interval: float | None, failed: bool) -> None:
        """Note that a sensor's poll() begins or has ended, the seconds between two polls, and if it failed."""

    def hears(self, ref: str, method: str, running: bool) -> None:
        """Note that a sensor's add_trigger(), or another trigger method, begins or has ended."""

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        """Log a record of a sensor."""


class WrapperMethods:
    """Answers all wrappers' sessions. For the loop's thread.

    :param user: the name in `[system_user]`.
    """

    def __init__(
        self, node: Node, sensors: Sensors, events: EventMethods, datastore: DatastoreMethods, *, user: str
    ) -> None:
        self._node = node
        self._sensors = sensors
        self._events = events
        self._datastore = datastore
        self._user = user
        self._subscribed: dict[Session, dict[str, Trigger]] = {}
        """Sessions that subscribe to triggers, each with the triggers, by id, that it was last notified of."""
        self._sessions: dict[str, set[Session]] = {}
        """Sessions by sensor."""
        self._listening: set[Session] = set()
        """Sessions that receive notifications about anything but triggers."""
        self._tasks = Tasks()
        self._methods: dict[str, Callable[[str], Awaitable[Any]]] = {
            "user.info": self._user_info,
            "assignment": self._assignment,
        }
        self._notifications: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "ready": lambda ref, _: sensors.is_ready(ref),
            "set_up": lambda ref, _: sensors.is_set_up(ref),
            "ending": lambda ref, _: sensors.ends(ref),
            "poll": lambda ref, params: sensors.polls(
                ref, bool(params["running"]), poll_interval_of(params), bool(params.get("failed"))
            ),
            "hear": lambda ref, params: sensors.hears(ref, trigger_method_of(params), bool(params["running"])),
            "log": self._log,
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
            self._events.dispatch(session, identifier, params, bodies)
        elif session.ref is not None and method == "dispatch_many":
            self._events.dispatch_many(session, identifier, params, bodies)
        elif session.ref is not None and method == "schema":
            self._events.answer_schema(session, identifier, params)
        elif method == "hello":
            self._tasks.start(self._hello(session, identifier, str(params.get("token")), params.get("version")))
        elif session.ref is None:
            session.refuse(identifier, RpcError("say hello first"))
            session.close()
        elif method is not None and method.startswith("datastore."):
            self._datastore.handle(session, identifier, method, with_texts(params, bodies))
        elif method in self._methods:
            self._tasks.start(self._answer(session, identifier, self._methods[method](session.ref)))
        elif method == "listen":
            self._listening.add(session)
            session.notify("log.level", {"level": self._sensors.log_level(session.ref)})
        elif method == "subscribe":
            self._subscribed[session] = {}
            self._notify_of_triggers(session)
            session.notify("trigger.known", {})
        elif method in self._notifications:
            self._notifications[method](session.ref, params)
        else:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)

    def closed(self, session: Session) -> None:
        self._subscribed.pop(session, None)
        self._listening.discard(session)
        if session.ref is not None:
            sessions = self._sessions.get(session.ref, set())
            sessions.discard(session)
            if not sessions:
                self._sessions.pop(session.ref, None)

    def hang_up(self, ref: str) -> None:
        """End the sessions of a sensor whose process has ended, after handling what it sent before."""
        for session in list(self._sessions.get(ref, ())):
            session.drain()
            session.close()
        self._sessions.pop(ref, None)

    def oldest(self, ref: str) -> Waiting | None:
        """Return the request of a sensor's process and its forks that has waited longest for its answer."""
        found = [session.oldest for session in self._sessions.get(ref, ())]
        return min((waiting for waiting in found if waiting), key=lambda waiting: waiting.since, default=None)

    def heard_at(self, ref: str) -> float | None:
        """Return when a sensor last sent anything, on the loop's clock; None if it has no session."""
        return max((session.heard_at for session in self._sessions.get(ref, ())), default=None)

    def release(self, ref: str, before: float, error: Exception) -> None:
        """Refuse the requests that a sensor made before a given time (loop's clock), even if they may yet succeed."""
        for session in self._sessions.get(ref, ()):
            session.release(before, error)

    def tell_triggers(self) -> None:
        """Notify every sensor of the changes to its triggers since its last notification."""
        for session in self._subscribed:
            self._notify_of_triggers(session)

    def tell_log_level(self, ref: str, level: int) -> None:
        """Notify a sensor of the minimum level of the log records that it should send from now on."""
        for session in self._sessions.get(ref, set()) & self._listening:
            session.notify("log.level", {"level": level})

    def _notify_of_triggers(self, session: Session) -> None:
        assert session.ref is not None
        previous = self._subscribed[session]
        current = {trigger.id or trigger.ref: trigger for trigger in self._node.triggers_of(session.ref)}
        for identifier, trigger in current.items():
            if identifier not in previous:
                session.notify("trigger.add", {"trigger": _fields(trigger)})
            elif previous[identifier].uid != trigger.uid:
                session.notify("trigger.update", {"trigger": _fields(trigger)})
        for identifier, trigger in previous.items():
            if identifier not in current:
                session.notify("trigger.remove", {"trigger": _fields(trigger)})
        self._subscribed[session] = current

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

    async def _assignment(self, ref: str) -> Any:
        if self._node.may_have_batches(ref):
            try:
                await self._datastore.carry_out_batches(ref)
            except (DatastoreError, LeaseLost, OutboxError) as exception:
                LOG.warning("%s: its unfinished batches will be carried out later: %s", ref, exception)
        return await self._node.assignment(ref)

    async def _user_info(self, ref: str) -> Any:  # noqa: ARG002 (it is the same for all sensors)
        return {
            "username": self._user,
            "rbac": {"enabled": False, "roles": [], "is_admin": False},
            "authentication": {"method": "system user", "location": None},
        }

    def _log(self, ref: str, params: dict[str, Any]) -> None:
        name, level = str(params.get("logger", ref)), int(params.get("level", logging.INFO))
        self._sensors.log(ref, name, level, str(params["message"]))


def with_texts(params: dict[str, Any], bodies: list[bytes]) -> dict[str, Any]:
    """Return the parameters of a datastore method, including the long ones that came as bodies. Raises ValueError."""
    names = params.pop("texts", [])
    if not bodies and not names:
        return params
    if not isinstance(names, list) or len(names) > len(bodies):
        raise ValueError("texts must name the parameters that are bodies")
    found = {str(name): _text(body) for name, body in zip(names, bodies, strict=False)}
    return {**params, **found, **({"payloads": bodies[len(names) :]} if len(bodies) > len(names) else {})}


def _text(body: bytes) -> str:
    """Return a body that is a JSON string; decoding anything else could take long. Raises ValueError."""
    if body[:1] != b'"':
        raise ValueError("a text must be a JSON string")
    text: str = json.loads(body)
    return text


def _fields(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger as add_trigger() gets it, with StackStorm's keys."""
    return {
        "id": trigger.id,
        "uid": trigger.uid,
        "ref": trigger.ref,
        "name": trigger.name,
        "pack": trigger.pack,
        "type": trigger.type,
        "parameters": dict(trigger.parameters),
    }
