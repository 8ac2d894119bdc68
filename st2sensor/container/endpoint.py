"""The Unix socket that wrappers connect to."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from st2sensor.container.session import Handler, Session
from st2sensor.errors import ConfigError

PATH_LIMIT = 107
"""Bytes that the kernel takes for a Unix socket's path."""

WAITING = 512
"""Connections that may wait to be accepted."""


class Endpoint:
    """Listens, and makes a session of each connection; for the loop's thread.

    Raises ConfigError when the path is too long for a socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, handler: Handler) -> None:
        if len(os.fsencode(path)) > PATH_LIMIT:
            raise ConfigError(f"[sensorcontainer] state_dir: {path} is too long for a socket; use a shorter path")
        self._loop = loop
        self._handler = handler
        self._socket = _listening(path)
        loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Stop listening; sessions go on."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            # The wrapper has gone again, or there is no file descriptor left for now.
            return
        Session(self._loop, connection, self._handler)


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        endpoint.bind(str(path))
    finally:
        os.umask(previous)
    endpoint.listen(WAITING)
    endpoint.setblocking(False)
    return endpoint
