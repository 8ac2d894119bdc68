"""One connection of a wrapper: JSON-RPC lines in and out. A sensor's process and each of its forks has its own.

Reads in the supervisor's loop. Writes from any thread, because the outbox's writer answers dispatch() itself: handing
the answer to the loop would cost a lone sensor a sixth of its rate. Therefore a bare socket, not an asyncio transport.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import deque
from typing import Any, Protocol

from st2sensor import rpc
from st2sensor.errors import ProtocolError

LOG = logging.getLogger(__name__)

CHUNK = 65536
"""Bytes read at a time."""

LAST_CHUNKS = 64
"""Chunks that are read at the end, at the most."""

TURN = 16
"""Messages that are handled before other sessions have their turn."""

BACKLOG = 256
"""Messages that may wait for their turn before the socket is left unread."""

CONGESTED = 1_000_000
"""Bytes that wait to be sent."""


class Handler(Protocol):
    """What answers the messages of a session."""

    def handle(self, session: Session, message: rpc.Message) -> None:
        """Act on a request or notification, now or later."""

    def closed(self, session: Session) -> None:
        """The wrapper has hung up."""


class Session:
    """For the loop's thread, but for `answer`, `refuse` and `notify`.

    :param endpoint: connected; closed by the session.
    :param handler: shared by all sessions.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: socket.socket, handler: Handler) -> None:
        self._loop = loop
        self._socket = endpoint
        self._handler = handler
        self._lines = rpc.LineBuffer()
        self._requests = rpc.Requests()
        self._waiting: deque[bytes] = deque()
        self._paused = False
        self._closed = False
        self._writing = threading.Lock()
        self._unsent = b""
        """What the socket had no room for."""
        self.ref: str | None = None
        """The sensor's reference, once the wrapper has shown its token."""
        endpoint.setblocking(False)
        loop.add_reader(endpoint, self._readable)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_congested(self) -> bool:
        """Whether the other side does not read what it is sent."""
        return len(self._unsent) > CONGESTED

    def answer(self, identifier: int | None, value: Any) -> None:
        """Answer a request, or refuse it when the answer is too long; does nothing when the wrapper has hung up."""
        try:
            data = rpc.result(identifier, value)
        except ValueError as exception:
            data = rpc.error(identifier, ValueError(f"{exception}; ask for less, as with limit"))
        self._send(data)

    def refuse(self, identifier: int | None, exception: Exception, code: int = rpc.APPLICATION_ERROR) -> None:
        """Answer a request with an error."""
        self._send(rpc.error(identifier, exception, code))

    def notify(self, method: str, params: rpc.Message) -> None:
        """Tell the wrapper something."""
        self._send(rpc.notification(method, params))

    def close(self) -> None:
        """Hang up."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        with self._writing:
            self._socket.close()
        self._handler.closed(self)

    def hear_out(self) -> None:
        """Handle all that the wrapper has said, now; who goes on talking is not listened to for ever."""
        for _ in range(LAST_CHUNKS):
            if self._closed or not self._receive():
                break
        self._handle_waiting()

    def _readable(self) -> None:
        idle = not self._waiting
        self._receive()
        if idle and self._waiting:
            self._take_turn()

    def _receive(self) -> bool:
        """Take what is there; False when there is nothing for now, or nothing any more."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._handle_waiting()
            self.close()
            return False
        try:
            self._waiting.extend(self._lines.feed(data))
        except ProtocolError as exception:
            self._end(exception)
        return True

    def _handle_waiting(self) -> None:
        """What was said before the end still counts."""
        try:
            while self._waiting and not self._closed:
                self._handle(self._waiting.popleft())
        except ProtocolError as exception:
            self._end(exception)

    def _take_turn(self) -> None:
        """Handle some messages; the rest waits until the other sessions have had their turn."""
        if self.is_closed:
            return
        try:
            for _ in range(min(TURN, len(self._waiting))):
                self._handle(self._waiting.popleft())
                if self._closed:
                    return
        except ProtocolError as exception:
            self._end(exception)
            return
        if self._waiting:
            self._loop.call_soon(self._take_turn)
        if self._paused != (len(self._waiting) > BACKLOG):
            self._pause_or_resume()

    def _handle(self, line: bytes) -> None:
        request = self._requests.add(line)
        if request is not None:
            self._handler.handle(self, request)

    def _pause_or_resume(self) -> None:
        self._paused = not self._paused
        if self._paused:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _end(self, exception: ProtocolError) -> None:
        LOG.warning("%s: session ended: %s", self.ref or "an unknown process", exception)
        self.close()

    def _send(self, data: bytes) -> None:
        with self._writing:
            if self._unsent:
                self._unsent += data
                return
            self._unsent = self._sent(data)
            if not self._unsent:
                return
        self._loop.call_soon_threadsafe(self._wait_writable)

    def _sent(self, data: bytes) -> bytes:
        """Send what the socket takes; returns the rest. What a wrapper that has hung up does not take is dropped."""
        try:
            return data[self._socket.send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""

    def _wait_writable(self) -> None:
        if not self._closed:
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        with self._writing:
            self._unsent = self._sent(self._unsent)
            if self._unsent:
                return
        self._loop.remove_writer(self._socket)
