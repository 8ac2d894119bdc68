"""Keeps the newest log lines of each sensor: its own lines, and the container's lines about it."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections import deque
from typing import Any

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.logs.setup import SENSOR
from st2sensor.system.event_loop import call_in_loop

MOST_LINES = 100
"""Maximum number of lines that are kept for each sensor."""

LINE_LIMIT = 4096
"""Maximum number of characters that are kept of a line."""

Line = dict[str, Any]


class RecentLogs(logging.Handler):
    """A handler for the root logger. For any thread.

    :param loop: the loop whose thread broadcasts new lines while anyone is watching.
    """

    def __init__(self, loop: AbstractEventLoop, events: Broadcast) -> None:
        super().__init__()
        self._loop = loop
        self._events = events
        self._lines: dict[str, deque[tuple[float, int, str]]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        sensor = getattr(record, SENSOR, None)
        if sensor is None:
            return
        try:
            text = self.format(record)[:LINE_LIMIT]
        except Exception:  # noqa: BLE001 (a broken log call must not fail its caller; the other handlers tell of it)
            return
        kept = (record.created, record.levelno, text)
        self._lines.setdefault(sensor, deque(maxlen=MOST_LINES)).append(kept)
        if self._events.is_watched(broadcast.LINE):
            call_in_loop(self._loop, self._tell, sensor, _line(*kept))

    def lines(self, sensor: str) -> list[Line]:
        """Return a sensor's lines, oldest first."""
        self.acquire()
        try:
            return [_line(*kept) for kept in self._lines.get(sensor, ())]
        finally:
            self.release()

    def forget(self, sensor: str) -> None:
        """Drop the lines of a sensor that is no longer registered."""
        self._lines.pop(sensor, None)

    def _tell(self, sensor: str, line: Line) -> None:
        self._events.tell(broadcast.LINE, sensor, **line)


def _line(at: float, level: int, text: str) -> Line:
    return {"at": at, "level": logging.getLevelName(level), "text": text}
