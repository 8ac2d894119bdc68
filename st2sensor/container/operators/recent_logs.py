"""The newest lines of each sensor's log: its own, and what the container says of it."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from st2sensor.logs.setup import SENSOR

LINES = 100
"""Of each sensor, at the most."""

LONGEST = 4096
"""Characters of a line that are kept."""

Line = dict[str, Any]


class RecentLogs(logging.Handler):
    """A handler of the root logger's; from any thread, but for `told`.

    :param told: called in the loop's thread with each sensor and line, while `is_watched` says that somebody wants it.
    """

    def __init__(
        self, loop: AbstractEventLoop, told: Callable[[str, Line], None], is_watched: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._is_watched = is_watched
        self._loop = loop
        self._told = told
        self._lines: dict[str, deque[tuple[float, int, str]]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        sensor = getattr(record, SENSOR, None)
        if sensor is None:
            return
        try:
            text = self.format(record)[:LONGEST]
        except Exception:  # noqa: BLE001 (logging's own rule: it is not the fault of whoever logs)
            self.handleError(record)
            return
        kept = (record.created, record.levelno, text)
        self._lines.setdefault(sensor, deque(maxlen=LINES)).append(kept)
        if self._is_watched():
            # A loop that has ended has nobody left to tell.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._told, sensor, _line(*kept))

    def lines(self, sensor: str) -> list[Line]:
        """Oldest first."""
        self.acquire()
        try:
            return [_line(*kept) for kept in self._lines.get(sensor, ())]
        finally:
            self.release()

    def forget(self, sensor: str) -> None:
        """A sensor is not registered any more."""
        self._lines.pop(sensor, None)


def _line(at: float, level: int, text: str) -> Line:
    return {"at": at, "level": logging.getLevelName(level), "text": text}
