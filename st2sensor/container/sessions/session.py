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
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from st2sensor.container.sessions.unanswered import Unanswered
from st2sensor.errors import ProtocolError
from st2sensor.portable import rpc

LOG = logging.getLogger("st2sensor.sessions")

CHUNK = 65536
"""Bytes read at a time."""

LAST_CHUNKS = 64
"""Chunks that are read at the end, at the most."""

TURN = 16
"""Messages that are handled before other sessions have their turn."""

BACKLOG = 256
"""Messages that may wait for their turn before the socket is left unread."""

CONGESTED = 1_000_000
"""Bytes that wait to be sent, before the socket is left unread."""

UNREAD = 100_000_000
"""Bytes that wait to be sent, before the session is ended."""

STRANGERS_BYTES = 65_536
"""Bytes that one may say before it has shown its token."""


class Waiting(NamedTuple):
    """A request that is not answered yet.

    :param since: when it came, by the loop's clock.
    """

    method: str
    since: float


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
    :param trusted: whether whoever may connect needs no token.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: socket.socket, handler: Handler, *, trusted: bool = False
    ) -> None:
        self._loop = loop
        self._socket = endpoint
        self._handler = handler
        self._lines = rpc.LineBuffer(rpc.MAX_REQUEST_TOTAL_BYTES)
        self._requests = rpc.Requests()
        self._waiting: deque[bytes] = deque()
        self._unanswered = Unanswered()
        self._trusted = trusted
        self._heard = 0
        """Bytes, before it has shown its token."""
        self._paused = False
        self._stalled = False
        """Whether messages wait until others are answered, or answers are read."""
        self._closed = False
        self._writing = threading.Lock()
        self._unsent = bytearray()
        """What the socket had no room for."""
        self.left: Callable[[], None] = lambda: None
        """Called when the session ends."""
        self._asked: dict[int, Waiting] = {}
        """Requests by id that are not answered, in the order in which they came."""
        self._released: set[int] = set()
        """Requests that were refused before whoever works on them was done: nothing more is said of these."""
        self.ref: str | None = None
        """The sensor's reference, once the wrapper has shown its token."""
        self.heard_at = loop.time()
        """When the wrapper last said something."""
        endpoint.setblocking(False)
        loop.add_reader(endpoint, self._readable)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_congested(self) -> bool:
        """Whether the other side does not read what it is sent."""
        return len(self._unsent) > CONGESTED

    def expect(self, identifier: int, method: str) -> None:
        """A request is to be answered."""
        self._asked[identifier] = Waiting(method, self._loop.time())

    @property
    def oldest(self) -> Waiting | None:
        """The request that waits longest for its answer."""
        # A copy, because other threads answer.
        return next(iter(list(self._asked.values())), None)

    def is_released(self, identifier: int | None) -> bool:
        """Whether a request was refused because its sensor stops: nobody waits for what comes of it."""
        return identifier in self._released

    def release(self, before: float, exception: Exception) -> None:
        """Refuse what has waited since then, or longer. Whatever becomes of it is not told any more."""
        for identifier, waiting in list(self._asked.items()):
            if waiting.since <= before:
                self.refuse(identifier, exception)
                self._released.add(identifier)

    def answer(self, identifier: int | None, value: Any) -> None:
        """Answer a request, or refuse it when the answer is too long; does nothing when the wrapper has hung up."""
        if self._is_settled(identifier):
            return
        try:
            data = rpc.result(identifier, value)
        except ValueError as exception:
            data = rpc.error(identifier, ValueError(f"{exception}; ask for less, as with limit"))
        self._send(data)
        self._answered(identifier)

    def refuse(self, identifier: int | None, exception: Exception, code: int = rpc.APPLICATION_ERROR) -> None:
        """Answer a request with an error."""
        if self._is_settled(identifier):
            return
        self._send(rpc.error(identifier, exception, code))
        self._answered(identifier)

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
        self.left()
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
        self.heard_at = self._loop.time()
        try:
            self._listen_to(len(data))
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
                if self._is_full:
                    break
                self._handle(self._waiting.popleft())
                if self._closed:
                    return
        except ProtocolError as exception:
            self._end(exception)
            return
        except Exception:
            LOG.exception("%s: session ended by what was said in it", self.ref or "an unknown process")
            self.close()
            return
        self._stalled = bool(self._waiting) and self._is_full
        if self._stalled and not self._is_full:
            # Another thread has answered just now, and saw nobody wait.
            self._stalled = False
        if self._waiting and not self._stalled:
            self._loop.call_soon(self._take_turn)
        if self._paused != (self._stalled or len(self._waiting) > BACKLOG):
            self._pause_or_resume()

    @property
    def _is_full(self) -> bool:
        """Whether the next message has to wait until something is answered, or read."""
        return self._unanswered.is_full or self.is_congested

    def _handle(self, line: bytes) -> None:
        request = self._requests.add(line)
        if request is None:
            return
        identifier = request.get("id")
        if isinstance(identifier, int):
            self._unanswered.add(identifier, len(line) + sum(map(len, request["bodies"][:-1])))
        self._handler.handle(self, request)

    def _answered(self, identifier: int | None) -> None:
        if identifier is not None:
            self._unanswered.remove(identifier)
        if self._stalled and not self._is_full:
            # A loop that has ended has nobody left to answer.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        if self._stalled and not self._is_full:
            self._stalled = False
            self._take_turn()

    def _listen_to(self, size: int) -> None:
        """Raises ProtocolError for one that talks on without a token."""
        if self._trusted or self.ref is not None:
            return
        self._heard += size
        if self._heard > STRANGERS_BYTES:
            raise ProtocolError(f"more than {STRANGERS_BYTES} bytes came before a token")

    def _pause_or_resume(self) -> None:
        self._paused = not self._paused
        if self._paused:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _is_settled(self, identifier: int | None) -> bool:
        """Whether a request was answered already; from here on it is."""
        if identifier in self._released:
            self._released.discard(identifier)
            return True
        if identifier is not None:
            self._asked.pop(identifier, None)
        return False

    def _end(self, exception: ProtocolError) -> None:
        LOG.warning("%s: session ended: %s", self.ref or "an unknown process", exception)
        self.close()

    def _send(self, data: bytes) -> None:
        with self._writing:
            waits = bool(self._unsent)
            sent = 0 if waits else self._sent(data)
            self._unsent += data[sent:]
            unread = len(self._unsent)
        if unread > UNREAD:
            self._loop.call_soon_threadsafe(self.close)
        elif unread and not waits:
            self._loop.call_soon_threadsafe(self._wait_writable)

    def _sent(self, data: bytes | memoryview) -> int:
        """Send what the socket takes; how much that is. What a wrapper that has hung up does not take is dropped."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _wait_writable(self) -> None:
        if not self._closed:
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        with self._writing:
            with memoryview(self._unsent) as unsent:
                sent = self._sent(unsent)
            del self._unsent[:sent]
            is_over = not self._unsent
        if is_over:
            self._loop.remove_writer(self._socket)
        self._go_on()
