"""The sensor's log records, sent to the container, which writes them."""

from __future__ import annotations

import logging
import sys
import threading

from st2sensor.wrapper.connection import Connection


class ContainerHandler(logging.Handler):
    """Sends each record with its level and traceback."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        try:
            params = {"logger": record.name, "level": record.levelno, "message": self.format(record)}
            self._connection.notify("log", params)
        except Exception:  # noqa: BLE001 (logging's own rule: a record that cannot be written is reported, not raised)
            self.handleError(record)


def configure(connection: Connection, level: int) -> None:
    """Send everything that is logged to the container, and print each line as soon as it is whole.

    What ends a thread is logged, too, instead of printed.
    """
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(ContainerHandler(connection))
    threading.excepthook = _thread_failed
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit):
        name = "a thread" if failure.thread is None else f"thread {failure.thread.name}"
        error = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger().error("%s failed", name, exc_info=error)
