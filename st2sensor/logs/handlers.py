"""Handlers and formatters of the log: those named in StackStorm's logging.conf files, and one for JSON."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import socket
from datetime import UTC, datetime
from typing import Any

SYSLOG = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""GELF's severities, by level."""


class FormatNamedFileHandler(logging.handlers.RotatingFileHandler):
    """Writes a file, and rotates it if maxBytes is given. The name may hold {timestamp}, {ts} (ISO 8601) and {pid}."""

    def __init__(
        self,
        filename: str,
        mode: str = "a",
        maxBytes: int = 0,
        backupCount: int = 0,
        encoding: str | None = None,
        delay: bool = False,
    ) -> None:
        now = datetime.now(UTC)
        name = filename.format(timestamp=int(now.timestamp()), ts=now.isoformat(), pid=os.getpid())
        super().__init__(name, mode, maxBytes, backupCount, encoding, delay)


class ConsoleLogFormatter(logging.Formatter):
    """Formats a record as text, with its traceback below."""


class GelfLogFormatter(logging.Formatter):
    """Formats a record in Graylog's extended log format: one line with a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        fields: dict[str, Any] = {
            "version": "1.1",
            "host": socket.gethostname(),
            "short_message": record.getMessage(),
            "full_message": message,
            "timestamp": int(record.created),
            "timestamp_f": record.created,
            "level": SYSLOG.get(record.levelno, 1 if record.levelno > logging.CRITICAL else 6),
            "_pid": record.process,
            "_python": {"name": record.name, "module": record.module, "lineno": record.lineno},
        }
        return json.dumps(fields)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line with a JSON object.

    :param sensor: attribute of records that holds their sensor's reference.
    """

    def __init__(self, sensor: str) -> None:
        super().__init__()
        self._sensor = sensor

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "sensor": getattr(record, self._sensor, None),
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)


def reopen(handler: logging.FileHandler) -> None:
    """Open a handler's file again. Raises OSError, and keeps the old file, if that fails."""
    handler.acquire()
    try:
        previous, handler.stream = handler.stream, handler._open()
        if previous is not None:
            previous.close()
    finally:
        handler.release()
