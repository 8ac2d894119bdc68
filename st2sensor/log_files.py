"""The handlers and formatters that StackStorm's logging.conf files name."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from typing import Any

SYSLOG = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Severities of GELF by level."""


class FormatNamedFileHandler(logging.FileHandler):
    """A file whose name may hold {timestamp}, {ts} (seconds of now) and {pid}."""

    def __init__(self, filename: str, mode: str = "a", encoding: str | None = None, delay: bool = False) -> None:
        now = int(time.time())
        self.template = filename
        super().__init__(filename.format(timestamp=now, ts=now, pid=os.getpid()), mode, encoding, delay)


class ConsoleLogFormatter(logging.Formatter):
    """Lines of text; the traceback below."""


class GelfLogFormatter(logging.Formatter):
    """Graylog's extended log format: a JSON object a line."""

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


def reopen(handler: logging.FileHandler) -> None:
    """Open a handler's file anew."""
    handler.acquire()
    try:
        handler.close()
        handler.stream = handler._open()
    finally:
        handler.release()
