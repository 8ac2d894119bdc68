"""Sends the sensor's log records to the container, which writes them."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Optional

from st2sensor.errors import SensorStops
from st2sensor.portable.excerpt import shortened
from st2sensor.wrapper import audit
from st2sensor.wrapper.connection import Caller

LONGEST_NAME = 256
"""Maximum number of characters of a logger's name."""


class ContainerHandler(logging.Handler):
    """Sends each record with its level and traceback. Before there is a connection, it prints them."""

    connection: Optional[Caller] = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.connection is None:
                sys.stderr.write(f"{self.format(record)}\n")
                return
            message = shortened(self.format(record))
            params = {"logger": record.name[:LONGEST_NAME], "level": record.levelno, "message": message}
            self.connection.notify("log", params)
        except Exception:  # noqa: BLE001 (logging's own rule: a record that cannot be written is reported, not raised)
            self.handleError(record)


def configure() -> ContainerHandler:
    """Send all log records to the container, and print each line as soon as it is complete.

    An error that ends a thread is logged instead of printed.
    """
    handler = ContainerHandler()
    audit.install()
    set_level(logging.INFO)
    logging.getLogger().addHandler(handler)
    threading.excepthook = _thread_failed
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    return handler


def set_level(level: int) -> None:
    """Send records of this level and above."""
    root = logging.getLogger()
    if root.level != level:
        root.setLevel(level)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    # If a stop releases a thread from a call, the thread ends with this error: that is not a failure.
    if failure.exc_value is not None and not isinstance(failure.exc_value, (SystemExit, SensorStops)):
        name = "a thread" if failure.thread is None else f"thread {failure.thread.name}"
        error = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger().error("%s failed", name, exc_info=error)
