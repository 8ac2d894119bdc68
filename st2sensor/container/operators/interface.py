"""The operators' side of the container: its log lines, the control socket, and the status page if there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.control_methods import Control
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.container.operators.reporter import Reporter
from st2sensor.container.operators.usage import Blocking
from st2sensor.container.sessions.endpoint import Endpoint
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.health import Health
from st2sensor.outbox.entry import Entry


class Page(Protocol):
    """A server of the status page."""

    @property
    def health(self) -> Health:
        """Whether it is listening."""

    async def open(self) -> None:
        """Begin to serve. Does not wait until the address is free."""

    async def close(self) -> None:
        """Stop serving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSources:
    """The sources of the status page.

    :param state_dir: of this container; its dead letters are there.
    :param blocking: runs a call that reads files in another thread.
    """

    reporter: Reporter
    events: Broadcast
    recent_logs: RecentLogs
    state_dir: Path
    blocking: Blocking


MakePage = Callable[[PageSources], Page]


class OperatorInterface:
    """Opens and closes the parts that operators use. For the loop's thread.

    :param control_group: the group whose members may use the control socket.
    :param page: the status page's server; None if there is no page.
    """

    def __init__(
        self, control: Control, recent_logs: RecentLogs, recorder: Recorder, *, control_group: str, page: Page | None
    ) -> None:
        self._control = control
        self._recent_logs = recent_logs
        self._recorder = recorder
        self._control_group = control_group
        self._page = page
        self._endpoint: Endpoint | None = None

    @property
    def page_health(self) -> Health | None:
        """Whether the status page is being served; None if there is no page."""
        return None if self._page is None else self._page.health

    async def open(self, state_dir: Path) -> None:
        """Open all parts. Raises ConfigError and OSError if the control socket cannot be made."""
        logging.getLogger().addHandler(self._recent_logs)
        self._endpoint = self._control.listen(asyncio.get_running_loop(), state_dir, self._control_group)
        if self._page is not None:
            await self._page.open()

    async def close(self) -> None:
        """Close all parts."""
        logging.getLogger().removeHandler(self._recent_logs)
        if self._endpoint is not None:
            self._endpoint.close()
        self._control.close()
        if self._page is not None:
            await self._page.close()

    def keep_only(self, sensors: frozenset[str]) -> None:
        """Forget the past of sensors that are no longer registered."""
        for ref in self._recorder.sensors:
            if ref not in sensors:
                self._recorder.forget(ref)
                self._recent_logs.forget(ref)


def tell_dispatched(events: Broadcast, entry: Entry) -> None:
    """Broadcast that a trigger was dispatched, or that it has become a dead letter."""
    if entry.reason is None:
        fields = {"body": entry.body, "tagged": entry.tagged, "message_id": entry.message_id}
        events.tell(broadcast.TRIGGER, entry.sensor, trigger=entry.trigger_type, **fields)
    else:
        fields = {"reason": entry.reason, "message_id": entry.message_id}
        events.tell(broadcast.INVALID, entry.sensor, trigger=entry.trigger_type, **fields)
