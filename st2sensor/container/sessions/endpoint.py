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
"""Maximum number of bytes in the path of a Unix socket."""

ACCEPT_RETRY = 1.0
"""Seconds to wait before accepting connections again after running out of file descriptors."""

SOCKET_CHECK_INTERVAL = 1.0
"""Seconds between two checks of the socket file."""

MOST_SESSIONS = 20_000
"""Maximum number of sessions of all sensors together."""

ACCEPT_BACKLOG = 512
"""Maximum number of connections that may wait to be accepted."""


class Endpoints:
    """One endpoint for each user that sensors run as. For the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler) -> None:
        self._loop = loop
        self._handler = handler
        self._endpoints: dict[Path, Endpoint] = {}
        # A sensor takes four file descriptors. One of them is its session.
        self._limits = ConnectionLimits(loop, "the sensors' socket", share_of_files(4, MOST_SESSIONS))

    def ensure(self, path: Path, user: Sequence[Any] | None) -> None:
        """Listen at a path, unless it is already being listened at. Raises ConfigError and OSError.

        :param user: uid, gid and groups of the user that may connect; None for this process's own user.
        """
        if path in self._endpoints:
            return

        def admit() -> None:
            if user is not None:
                os.chown(path, user[0], user[1])
                # The user must be able to pass through the folder, but not to list it.
                path.parent.chmod(path.parent.stat().st_mode | stat.S_IXOTH)

        self._endpoints[path] = Endpoint(self._loop, path, self._handler, self._limits, admit=admit)

    def close(self) -> None:
        """Stop listening."""
        for endpoint in self._endpoints.values():
            endpoint.close()


class Endpoint:
    """Listens on a Unix socket, and makes a session of each connection. For the loop's thread.

    If the socket's file is deleted or replaced, the socket is bound again.

    :param limits: limits the connections.
    :param priority: returns the priority of a session when there are too many; by default as for wrappers.
    :param mode: permissions of the file.
    :param admit: gives the file to the users that may connect; called each time the file is created.
    :param trusted: whether sessions need no token.

    Raises OSError, and ConfigError when the path is too long for a socket.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        handler: Handler,
        limits: ConnectionLimits | None = None,
        *,
        priority: Callable[[Session], Priority] | None = None,
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
        self._limits = limits or ConnectionLimits(loop, str(path), share_of_files(4, MOST_SESSIONS))
        self._priority = priority or _of_wrapper
        self._trusted = trusted
        self._closed = False
        self._is_lost = False
        """Whether the file is gone, and an attempt to create it again has failed."""
        self._bind()
        self._timer = loop.call_later(SOCKET_CHECK_INTERVAL, self._check)

    def close(self) -> None:
        """Stop listening. The sessions continue."""
        self._closed = True
        self._timer.cancel()
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

    def _check(self) -> None:
        """Bind again if the file is no longer the socket's: without the file, nobody can connect."""
        try:
            if self._is_lost or _file_of(self._path) != self._file:
                if not self._is_lost:
                    self._unbind()
                    LOG.warning("%s was deleted or replaced while in use; it is being created again", self._path)
                self._is_lost = True
                self._bind()
                self._is_lost = False
        except OSError as exception:
            LOG.error("nobody can connect to %s: %s", self._path, exception)
        self._timer = self._loop.call_later(SOCKET_CHECK_INTERVAL, self._check)

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
        admitted = self._limits.enter(_process_of(connection), session.close, partial(self._priority, session))
        if admitted is None:
            session.close()
        else:
            session.left = admitted.left


def _of_wrapper(session: Session) -> Priority:
    return Priority.UNKNOWN if session.ref is None else Priority.BUSY


def _process_of(connection: socket.socket) -> int:
    """Return the process at the other end."""
    (process,) = struct.unpack_from("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(process)


def _file_of(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at a path; None if there is none."""
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
    endpoint.listen(ACCEPT_BACKLOG)
    endpoint.setblocking(False)
    return endpoint
