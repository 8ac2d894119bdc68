"""The Unix sockets that wrappers connect to."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from st2sensor.container.sessions.session import Handler, Session
from st2sensor.errors import ConfigError
from st2sensor.system.connection_limits import ConnectionLimits, Priority, share_of_files

LOG = logging.getLogger("st2sensor.sessions")

PATH_LIMIT = 107
"""Bytes that the kernel takes for a Unix socket's path."""

ACCEPT_RETRY = 1.0
"""Seconds until connections are accepted again after there was no file descriptor for one."""

SOCKET_CHECK_INTERVAL = 1.0
"""Seconds between two looks whether a socket's file is in place."""

MOST_SESSIONS = 20_000
"""Of all sensors together."""

WAITING = 512
"""Connections that may wait to be accepted."""


class Endpoints:
    """One per user that sensors run as; for the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler) -> None:
        self._loop = loop
        self._handler = handler
        self._endpoints: dict[Path, Endpoint] = {}
        # A sensor takes four file descriptors, of which one is its session.
        self._visitors = ConnectionLimits(loop, "the sensors' socket", share_of_files(4, MOST_SESSIONS))

    def ensure(self, path: Path, user: Sequence[Any] | None) -> None:
        """Listen at path. Raises ConfigError and OSError.

        :param user: uid, gid and groups of who may connect; None: this process's own.
        """
        if path in self._endpoints:
            return

        def admit() -> None:
            if user is not None:
                os.chown(path, user[0], user[1])
                # What is in the folder stays private; one has to be able to come by.
                path.parent.chmod(path.parent.stat().st_mode | stat.S_IXOTH)

        self._endpoints[path] = Endpoint(self._loop, path, self._handler, self._visitors, admit=admit)

    def close(self) -> None:
        """Stop listening."""
        for endpoint in self._endpoints.values():
            endpoint.close()


class Endpoint:
    """Listens, and makes a session of each connection; for the loop's thread.

    A socket whose file is deleted, or replaced, is bound again.

    :param visitors: who is connected. :param standing: what a session is worth; by default as a wrapper's.
    :param mode: who may connect; :param admit: gives the file to them, each time that it is made.
    :param trusted: whether they need no token.

    Raises ConfigError when the path is too long for a socket, and OSError.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        handler: Handler,
        visitors: ConnectionLimits | None = None,
        *,
        standing: Callable[[Session], Priority] | None = None,
        mode: int = 0o600,
        admit: Callable[[], None] = lambda: None,
        trusted: bool = False,
    ) -> None:
        if len(os.fsencode(path)) > PATH_LIMIT:
            raise ConfigError(f"[sensorcontainer] state_dir: {path} is too long for a socket; use a shorter path")
        self._loop = loop
        self._handler = handler
        self._path = path
        self._mode = mode
        self._admit = admit
        self._visitors = visitors or ConnectionLimits(loop, str(path), share_of_files(4, MOST_SESSIONS))
        self._standing = standing or _of_wrapper
        self._trusted = trusted
        self._closed = False
        self._is_lost = False
        """Whether the file is gone, and could not be made again."""
        self._bind()
        self._looking = loop.call_later(SOCKET_CHECK_INTERVAL, self._look)

    def close(self) -> None:
        """Stop listening; sessions go on."""
        self._closed = True
        self._looking.cancel()
        self._unbind()
        self._path.unlink(missing_ok=True)

    def _bind(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._socket = _listening(self._path, self._mode)
        self._listen()
        try:
            self._admit()
            self._file = _file_of(self._path)
        except OSError:
            self._unbind()
            self._path.unlink(missing_ok=True)
            raise

    def _unbind(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _look(self) -> None:
        """Whether the file is still the socket's: without it nobody can connect."""
        try:
            if self._is_lost or _file_of(self._path) != self._file:
                if not self._is_lost:
                    self._unbind()
                    LOG.warning("%s was deleted while it is in use: it is made again", self._path)
                self._is_lost = True
                self._bind()
                self._is_lost = False
        except OSError as exception:
            LOG.error("nobody can connect to %s: %s", self._path, exception)
        self._looking = self._loop.call_later(SOCKET_CHECK_INTERVAL, self._look)

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                LOG.error("nobody can connect for now: %s; raise the limit of open files (LimitNOFILE)", error)
                self._loop.remove_reader(self._socket)
                self._loop.call_later(ACCEPT_RETRY, self._listen)
            return
        session = Session(self._loop, connection, self._handler, trusted=self._trusted)
        visitor = self._visitors.enter(_process_of(connection), session.close, partial(self._standing, session))
        if visitor is None:
            session.close()
        else:
            session.left = visitor.left


def _of_wrapper(session: Session) -> Priority:
    return Priority.UNKNOWN if session.ref is None else Priority.BUSY


def _process_of(connection: socket.socket) -> int:
    """The process that has connected."""
    (process,) = struct.unpack_from("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(process)


def _file_of(path: Path) -> tuple[int, int] | None:
    """What is at a path now; None when nothing is."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _listening(path: Path, mode: int) -> socket.socket:
    path.unlink(missing_ok=True)
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o777 & ~mode)
    try:
        endpoint.bind(str(path))
    except OSError:
        endpoint.close()
        raise
    finally:
        os.umask(previous)
    endpoint.listen(WAITING)
    endpoint.setblocking(False)
    return endpoint
