"""An HTTP port with a limited number of connections. A client that does not send or does not read cannot keep its
connection."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from st2sensor.system.connection_limits import ConnectionLimits, Peer, Priority

LOG = logging.getLogger("st2sensor.http")

BACKLOG = 1024
"""Connections that may wait to be accepted."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds that a TLS handshake may take."""

ACCEPT_RETRY = 1.0
"""Seconds until connections are accepted again after the file descriptors have run out."""

READ_TIMEOUT = 30.0
"""Seconds that a client may leave an answer unread."""

AT_ONCE = 64
"""Connections that are accepted in one turn of the loop."""


class HttpListener:
    """Accepts connections, and serves them. For the loop's thread.

    :param visitors: limits the connections.
    :param serve: makes the protocol of a connection.
    :param context: the TLS context; None for plain HTTP.
    :param sockets: the result of `bound`; empty if `open` shall bind the address.
    """

    def __init__(
        self,
        visitors: ConnectionLimits,
        serve: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._visitors = visitors
        self._serve = serve
        self._context = context
        self._host, self._port = host, port
        self._sockets = list(sockets)
        self._welcoming: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guests: dict[Hashable, _Guest] = {}
        """Connections by the protocol that serves them."""

    @contextmanager
    def answering(self, protocol: Hashable) -> Iterator[None]:
        """Mark a connection as busy while its request is being answered.

        :param protocol: the protocol that `serve` has made for the connection.
        """
        guest = self._guests.get(protocol)
        if guest is not None:
            guest.standing = Priority.BUSY
        try:
            yield
        finally:
            if guest is not None:
                guest.standing = Priority.IDLE

    async def open(self) -> str:
        """Listen, and return the URL. Raises OSError."""
        self._loop = loop = asyncio.get_running_loop()
        if not self._sockets:
            self._sockets = _bound(
                await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            )
        try:
            for each in self._sockets:
                each.listen(BACKLOG)
        except OSError:
            self.close()
            raise
        for each in self._sockets:
            loop.add_reader(each, self._accept, each)
        scheme = "http" if self._context is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Stop listening. Open connections stay."""
        for each in self._sockets:
            if self._loop is not None:
                self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE) and self._loop is not None:
                    LOG.error("nobody can connect to port %d for now: %s", self._port, error)
                    self._loop.remove_reader(listening)
                    self._loop.call_later(ACCEPT_RETRY, self._again, listening)
                return
            connection.setblocking(False)
            self._welcome(connection, address[0])

    def _again(self, listening: socket.socket) -> None:
        if self._loop is not None and listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _welcome(self, connection: socket.socket, origin: str) -> None:
        guest = _Guest(self._serve, connection, self._guests)
        visitor = self._visitors.enter(origin, guest.abort, lambda: guest.standing)
        if visitor is None or self._loop is None:
            connection.close()
            return
        guest.visitor = visitor
        task = self._loop.create_task(self._connect(guest, connection))
        self._welcoming.add(task)
        task.add_done_callback(self._welcoming.discard)

    async def _connect(self, guest: _Guest, connection: socket.socket) -> None:
        limits: dict[str, Any] = {} if self._context is None else {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT}
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: guest, connection, ssl=self._context, **limits)
        except (OSError, TimeoutError, asyncio.CancelledError):
            connection.close()
            guest.left()


class _Guest(asyncio.Protocol):
    """Stands between a connection and the protocol that serves it."""

    def __init__(
        self, serve: Callable[[], asyncio.Protocol], connection: socket.socket, guests: dict[Hashable, _Guest]
    ) -> None:
        self._make = serve
        self._guests = guests
        self.standing = Priority.UNKNOWN
        self._connection = connection
        self._served: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._unread: asyncio.TimerHandle | None = None
        self.visitor: Peer | None = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        else:
            # The handshake is still in progress.
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def left(self) -> None:
        if self.visitor is not None:
            self.visitor.left()
        if self._unread is not None:
            self._unread.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._served = self._make()
        self._guests[self._served] = self
        self._served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        assert self._served is not None
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        assert self._served is not None
        return self._served.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left()
        if self._served is not None:
            self._guests.pop(self._served, None)
            self._served.connection_lost(exc)

    def pause_writing(self) -> None:
        assert self._served is not None
        assert self._transport is not None
        self._unread = asyncio.get_running_loop().call_later(READ_TIMEOUT, self._transport.abort)
        self._served.pause_writing()

    def resume_writing(self) -> None:
        assert self._served is not None
        if self._unread is not None:
            self._unread.cancel()
        self._served.resume_writing()


def bound(host: str, port: int) -> list[socket.socket]:
    """Return sockets that hold an address and do not listen yet. Blocks. Raises OSError."""
    return _bound(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))


def refusal(error: OSError) -> str:
    """Return why an address cannot be used, or a file that is needed for it."""
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port"
    return str(error if error.filename or not error.strerror else error.strerror)


def _bound(found: Iterable[tuple[int, int, int, str, Any]]) -> list[socket.socket]:
    """:param found: the result of getaddrinfo."""
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            opened = socket.socket(family, kind, protocol)
            sockets.append(opened)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind(address)
            opened.setblocking(False)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets
