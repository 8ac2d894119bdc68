"""The operators' side of the container: reports, the control socket, and the status page where one is configured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.control import Control
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.recent_logs import Line, RecentLogs
from st2sensor.container.operators.reporter import Reporter, Sources
from st2sensor.container.operators.usage import Sampler
from st2sensor.container.sessions.endpoint import Endpoint
from st2sensor.container.supervision.children import Children
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.traffic import Traffic
from st2sensor.health import Health
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Settings

LOG = logging.getLogger("st2sensor.operators")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What triggers go through.

    :param broker: how the broker is.
    :param held_back: whether it refuses routing keys, and `held_of`: what is told of each sensor whose triggers wait
        for that.
    :param audience: whether the serializer fits those who take triggers.
    """

    dispatcher: Dispatcher
    traffic: Traffic
    outbox: Outbox
    broker: Callable[[], Health]
    held_back: Callable[[], Health]
    held_of: Callable[[], Mapping[str, str]]
    audience: Callable[[], Health]


class Page(Protocol):
    """A server of the status page."""

    async def open(self) -> None:
        """Serve, as soon as that can be done. Does not wait for it."""

    async def close(self) -> None:
        """Serve no more."""


MakePage = Callable[[Reporter, Broadcast], Page]


class OperatorInterface:
    """For the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        children: Children,
        hangs: Hangs,
        recorder: Recorder,
        operations: Operations,
        pipeline: Pipeline,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
        events: Broadcast,
        make_page: MakePage | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._recorder = recorder
        self._events = events
        self._journal = RecentLogs(asyncio.get_running_loop(), self._logged, lambda: events.is_watched(broadcast.LINE))
        sampler = Sampler(blocking, clock)
        reporter = Reporter(
            settings, sources, children, hangs, recorder, pipeline.traffic, pipeline.outbox, sampler, blocking, clock
        )
        self._control = Control(operations, reporter, self._journal, events)
        self._page = None if make_page is None else make_page(reporter, events)
        self._endpoint: Endpoint | None = None
        pipeline.traffic.watch(self._dispatched)

    async def open(self, state_dir: Path) -> None:
        """Raises ConfigError and OSError when there can be no control socket."""
        logging.getLogger().addHandler(self._journal)
        loop = asyncio.get_running_loop()
        self._endpoint = self._control.listen(loop, state_dir, self._settings.container.control_group)
        if self._page is not None:
            await self._page.open()

    async def close(self) -> None:
        logging.getLogger().removeHandler(self._journal)
        if self._endpoint is not None:
            self._endpoint.close()
        self._control.close()
        if self._page is not None:
            await self._page.close()

    def keep_only(self, sensors: frozenset[str]) -> None:
        """Forget what became of sensors that are not registered any more."""
        for ref in self._recorder.sensors:
            if ref not in sensors:
                self._recorder.forget(ref)
                self._journal.forget(ref)

    def _logged(self, ref: str, line: Line) -> None:
        self._events.tell(broadcast.LINE, ref, **line)

    def _dispatched(self, entry: Entry) -> None:
        if entry.reason is None:
            told = {"body": entry.body, "tagged": entry.tagged, "message_id": entry.message_id}
            self._events.tell(broadcast.TRIGGER, entry.sensor, trigger=entry.trigger_type, **told)
        else:
            self._events.tell(broadcast.INVALID, entry.sensor, trigger=entry.trigger_type, reason=entry.reason)
