"""The methods of the control socket, which operators' commands use. Like the wrapper protocol, it uses JSON-RPC."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.container.operators.reporter import Reporter
from st2sensor.container.sessions.endpoint import Endpoint
from st2sensor.container.sessions.session import Session
from st2sensor.dispatch.event import Event
from st2sensor.errors import RpcError, St2SensorError
from st2sensor.models import CORE_PACK, TraceContext
from st2sensor.portable import rpc
from st2sensor.reports import CONTROL_SOCKET, PAGE
from st2sensor.system.connection_limits import ConnectionLimits, Priority, share_of_files
from st2sensor.system.event_loop import Tasks

LOG = logging.getLogger("st2sensor.operators")

SOCKET_MODE = 0o660

MOST_CONNECTIONS = 64

MOST_REQUESTS = 16
"""Maximum number of unanswered requests of one session."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Control:
    """Answers all sessions of the control socket. For the loop's thread."""

    def __init__(self, operations: Operations, reporter: Reporter, recent_logs: RecentLogs, events: Broadcast) -> None:
        self._operations = operations
        self._reporter = reporter
        self._recent_logs = recent_logs
        self._events = events
        self._tasks: dict[Session, Tasks] = {}
        self._methods: dict[str, Callable[..., Awaitable[Any]]] = {
            "node": self._report,
            "settled": self._settled,
            "sensors": self._sensors,
            "sensor": self._sensor,
            "logs": self._logs,
            "restart": self._restart,
            "log_level": self._log_level,
            "refresh": operations.refresh,
            "dispatch": self._dispatch,
            "neighbour": self._neighbour,
            "release": self._release,
        }

    def listen(self, loop: asyncio.AbstractEventLoop, state_dir: Path, group: str) -> Endpoint:
        """Listen in the state directory, for members of a group if it exists. Raises ConfigError and OSError."""
        path = state_dir / CONTROL_SOCKET

        def admit() -> None:
            try:
                os.chown(path, -1, grp.getgrnam(group).gr_gid)
            except KeyError:
                LOG.debug("there is no group %s: the control socket belongs to this user's group", group)
            except OSError as exception:
                LOG.warning("%s still belongs to this user's group: %s", path, exception)

        limits = ConnectionLimits(loop, "the control socket", share_of_files(8, MOST_CONNECTIONS))
        return Endpoint(loop, path, self, limits, priority=self._priority, mode=SOCKET_MODE, admit=admit, trusted=True)

    def _priority(self, session: Session) -> Priority:
        if session not in self._tasks:
            return Priority.UNKNOWN
        return Priority.BUSY if self._tasks[session] else Priority.IDLE

    def close(self) -> None:
        """End all sessions."""
        for session in list(self._tasks):
            session.close()

    def handle(self, session: Session, message: rpc.Message) -> None:
        identifier, method = message.get("id"), message.get("method")
        params = message.get("params") or {}
        if method == "dispatch" and isinstance(params, dict):
            params = {**params, "bodies": message["bodies"]}
        if not isinstance(identifier, int) or not isinstance(params, dict):
            session.refuse(None, RpcError("a request has an integer as its id, and named parameters"))
        elif len(self._tasks.get(session, ())) >= MOST_REQUESTS or session.is_congested:
            # The client sends requests without reading the answers.
            session.close()
        elif method == "follow":
            self._start(session, self._answer(session, identifier, partial(self._follow, session, identifier), params))
        elif isinstance(method, str) and method in self._methods:
            self._start(session, self._answer(session, identifier, self._methods[method], params))
        else:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)

    def closed(self, session: Session) -> None:
        tasks = self._tasks.pop(session, None)
        if tasks is not None:
            tasks.cancel()

    async def _answer(
        self, session: Session, identifier: int, method: Callable[..., Awaitable[Any]], params: dict[str, Any]
    ) -> None:
        try:
            answer = await method(**params)
        except (St2SensorError, TypeError, ValueError) as exception:
            session.refuse(identifier, exception)
        except Exception as exception:
            LOG.exception("a request on the control socket failed")
            session.refuse(identifier, exception, rpc.INTERNAL_ERROR)
        else:
            session.answer(identifier, answer)

    async def _report(self) -> dict[str, Any]:
        return asdict(await self._reporter.node())

    async def _settled(self) -> bool:
        return self._operations.is_settled()

    async def _sensors(self, after: str = "") -> list[dict[str, Any]]:
        """Return a page of reports. The next page starts after the last reference of this one."""
        if not isinstance(after, str):
            raise TypeError("after is a sensor's reference")
        return [asdict(report) for report in await self._reporter.sensors(after, PAGE)]

    async def _sensor(self, ref: str) -> dict[str, Any] | None:
        report = await self._reporter.sensor(ref)
        return None if report is None else asdict(report)

    async def _logs(self, ref: str) -> list[dict[str, Any]]:
        return self._recent_logs.lines(ref)

    async def _restart(self, ref: str) -> None:
        self._operations.restart(ref)

    async def _neighbour(self, ref: str, process: int) -> int | None:
        return self._operations.neighbour(ref, process)

    async def _release(self, sensor: str | None = None, trigger: str | None = None) -> int:
        return await self._operations.release(sensor, trigger)

    async def _log_level(self, level: str, ref: str | None = None) -> None:
        if level not in LEVELS:
            raise ValueError(f"{level!r} is not a log level; use one of {', '.join(LEVELS)}")
        if ref is None:
            self._operations.set_level(level)
        else:
            self._operations.set_log_level(ref, level)

    async def _dispatch(
        self, trigger: str, bodies: Sequence[bytes], payload: Any = None, trace_tag: str | None = None
    ) -> None:
        if not isinstance(trigger, str):
            raise TypeError("trigger is a reference")
        trace = TraceContext(tag=trace_tag) if trace_tag else None
        text = bodies[0] if bodies else rpc.body(payload)
        await self._operations.dispatch(CORE_PACK, Event(trigger=trigger, payload=text, trace_context=trace))

    async def _follow(
        self, session: Session, identifier: int, kinds: Sequence[str] = broadcast.KINDS, ref: str | None = None
    ) -> None:
        """Send events of some kinds until the session ends.

        :param ref: the sensor whose events are wanted; None for all sensors.
        """
        with self._events.watched(kinds) as events:
            session.answer(identifier, None)
            while not session.is_closed:
                event = await events.next()
                if ref in (None, event["sensor"]) and not session.is_congested:
                    session.notify("event", event)

    def _start(self, session: Session, work: Any) -> None:
        self._tasks.setdefault(session, Tasks()).start(work)
