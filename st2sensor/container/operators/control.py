"""What operators may ask of the container: the methods of the control socket, in JSON-RPC as wrappers speak it."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
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

LOG = logging.getLogger("st2sensor.operators")

MODE = 0o660

MOST_OPERATORS = 64
"""Connections."""

AT_ONCE = 16
"""Requests of one session that may wait for their answers."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Node(Protocol):
    """What the methods need of the supervisor."""

    async def refresh(self) -> None:
        """Look into storage now."""

    def restart(self, ref: str) -> None:
        """Stop a sensor and start it again. Raises SensorNotFound."""

    def beside(self, ref: str, process: int) -> int | None:
        """Another container starts a sensor; returns this process, if that runs here, too."""

    def set_level(self, level: str) -> None:
        """Change the level of the container's log."""

    def set_log_level(self, ref: str, level: str) -> None:
        """Change the level of a sensor's log. Raises SensorNotFound."""

    async def dispatch(self, sensor: str, event: Event) -> None:
        """Put an event into the outbox. Raises ValueError for one that must not be published."""


class Control:
    """Answers every session; for the loop's thread."""

    def __init__(self, node: Node, reporter: Reporter, journal: RecentLogs, events: Broadcast) -> None:
        self._node = node
        self._reporter = reporter
        self._journal = journal
        self._events = events
        self._tasks: dict[Session, set[asyncio.Task[None]]] = {}
        self._methods: dict[str, Callable[..., Awaitable[Any]]] = {
            "node": self._report,
            "sensors": self._sensors,
            "sensor": self._sensor,
            "logs": self._logs,
            "restart": self._restart,
            "log_level": self._log_level,
            "refresh": self._refresh,
            "dispatch": self._dispatch,
            "beside": self._beside,
        }

    def listen(self, loop: asyncio.AbstractEventLoop, state_dir: Path, group: str) -> Endpoint:
        """Listen in the state directory, for members of a group where there is one. Raises ConfigError, OSError."""
        path = state_dir / CONTROL_SOCKET

        def admit() -> None:
            try:
                os.chown(path, -1, grp.getgrnam(group).gr_gid)
            except KeyError:
                LOG.debug("there is no group %s: the control socket is for this user's group", group)
            except OSError as exception:
                LOG.warning("%s stays with this user's group: %s", path, exception)

        visitors = ConnectionLimits(loop, "the control socket", share_of_files(8, MOST_OPERATORS))
        return Endpoint(loop, path, self, visitors, standing=self._standing, mode=MODE, admit=admit, trusted=True)

    def _standing(self, session: Session) -> Priority:
        if session not in self._tasks:
            return Priority.UNKNOWN
        return Priority.BUSY if self._tasks[session] else Priority.IDLE

    def close(self) -> None:
        """Hang up on everybody."""
        for session in list(self._tasks):
            session.close()

    def handle(self, session: Session, message: rpc.Message) -> None:
        identifier, method = message.get("id"), message.get("method")
        params = message.get("params") or {}
        if method == "dispatch" and isinstance(params, dict):
            params = {**params, "bodies": message["bodies"]}
        if not isinstance(identifier, int) or not isinstance(params, dict):
            session.refuse(None, RpcError("a request has an integer as its id, and named parameters"))
        elif len(self._tasks.get(session, ())) >= AT_ONCE or session.is_congested:
            # It asks on and on, and reads nothing.
            session.close()
        elif method == "follow":
            self._spawn(session, self._answer(session, identifier, partial(self._follow, session, identifier), params))
        elif isinstance(method, str) and method in self._methods:
            self._spawn(session, self._answer(session, identifier, self._methods[method], params))
        else:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)

    def closed(self, session: Session) -> None:
        for task in self._tasks.pop(session, set()):
            task.cancel()

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

    async def _sensors(self, after: str = "") -> list[dict[str, Any]]:
        """A page of them; the next one is asked for with the last reference of this one."""
        if not isinstance(after, str):
            raise TypeError("after is a sensor's reference")
        return [asdict(report) for report in await self._reporter.sensors(after, PAGE)]

    async def _sensor(self, ref: str) -> dict[str, Any] | None:
        report = await self._reporter.sensor(ref)
        return None if report is None else asdict(report)

    async def _logs(self, ref: str) -> list[dict[str, Any]]:
        return self._journal.lines(ref)

    async def _restart(self, ref: str) -> None:
        self._node.restart(ref)

    async def _beside(self, ref: str, process: int) -> int | None:
        return self._node.beside(ref, process)

    async def _log_level(self, level: str, ref: str | None = None) -> None:
        if level not in LEVELS:
            raise ValueError(f"{level!r} is no level; use one of {', '.join(LEVELS)}")
        if ref is None:
            self._node.set_level(level)
        else:
            self._node.set_log_level(ref, level)

    async def _refresh(self) -> None:
        await self._node.refresh()

    async def _dispatch(
        self, trigger: str, bodies: Sequence[bytes], payload: Any = None, trace_tag: str | None = None
    ) -> None:
        if not isinstance(trigger, str):
            raise TypeError("trigger is a reference")
        trace = TraceContext(tag=trace_tag) if trace_tag else None
        text = bodies[0] if bodies else rpc.body(payload)
        await self._node.dispatch(CORE_PACK, Event(trigger=trigger, payload=text, trace_context=trace))

    async def _follow(
        self, session: Session, identifier: int, kinds: Sequence[str] = broadcast.KINDS, ref: str | None = None
    ) -> None:
        """Tell events of some kinds, of one sensor or all, for as long as somebody listens."""
        with self._events.watched(kinds) as events:
            session.answer(identifier, None)
            while not session.is_closed:
                event = await events.next()
                if ref in (None, event["sensor"]) and not session.is_congested:
                    session.notify("event", event)

    def _spawn(self, session: Session, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._tasks.setdefault(session, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
