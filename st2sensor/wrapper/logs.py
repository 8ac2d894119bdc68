"""The sensor's log records, sent to the container, which writes them."""

from __future__ import annotations

import logging
import sys

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
    """Send everything that is logged to the container, and print each line as soon as it is whole."""
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(ContainerHandler(connection))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
