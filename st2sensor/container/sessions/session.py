"""One connection of a wrapper: JSON-RPC lines in and out. A sensor's process and each of its forks has its own.

A session reads in the supervisor's loop. It writes from any thread, because the outbox's writer thread answers
dispatch() itself: handing the answer to the loop would cost a lone sensor a sixth of its rate. So it uses a bare socket
instead of an asyncio transport.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from st2sensor.container.sessions.outgoing import Outgoing
from st2sensor.container.sessions.unanswered import Unanswered
from st2sensor.errors import ProtocolError
from st2sensor.portable import rpc
from st2sensor.system.event_loop import call_in_loop

LOG = logging.getLogger("st2sensor.sessions")

CHUNK = 65536
"""Bytes read at a time."""

MOST_LAST_CHUNKS = 64
"""Maximum number of chunks that are read before a session is ended."""

MESSAGES_PER_TURN = 16
"""Maximum number of messages that are handled before other sessions have their turn."""

MOST_WAITING = 256
"""Maximum number of messages that may wait for their turn before the socket is left unread."""

STRANGERS_BYTES = 65_536
"""Maximum number of bytes that are accepted from a wrapper before it has shown its token."""


class Waiting(NamedTuple):
    """A request without an answer yet.

    :param since: when it arrived, on the loop's clock.
    """

    method: str
    since: float


class Handler(Protocol):
    """Answers the messages of sessions."""

    def handle(self, session: Session, message: rpc.Message) -> None:
        """Act on a request or notification, now or later."""

    def closed(self, session: Session) -> None:
        """Forget a session that has ended."""


class Session:
    """For the loop's thread, except `answer`, `refuse` and `notify`, which any thread may call.

    :param endpoint: a connected socket; the session closes it.
    :param handler: shared by all sessions.
    :param trusted: whether the other side needs no token, because only permitted users can connect.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: socket.socket, handler: Handler, *, trusted: bool = False
    ) -> None:
        endpoint.setblocking(False)
        self._loop = loop
        self._socket = endpoint
        self._handler = handler
        self._outgoing = Outgoing(loop, endpoint, overflowed=self.close, drained=self._go_on)
        self._lines = rpc.LineBuffer(rpc.MAX_REQUEST_TOTAL_BYTES)
        self._requests = rpc.Requests()
        self._waiting: deque[bytes] = deque()
        self._unanswered = Unanswered()
        self._trusted = trusted
        self._strangers_bytes = 0
        """Bytes received before the wrapper has shown its token."""
        self._paused = False
        """Whether the socket is left unread."""
        self._stalled = False
        """Whether messages are waiting until earlier ones are answered, or answers are read."""
        self._closed = False
        self.left: Callable[[], None] = lambda: None
        """Called when the session ends."""
        self._asked: dict[int, Waiting] = {}
        """Unanswered requests by id, in the order of arrival."""
        self._released: set[int] = set()
        """Requests that were refused while still being worked on. Their later answers are discarded."""
        self.ref: str | None = None
        """The sensor's reference; None until the wrapper has shown its token."""
        self.heard_at = loop.time()
        """When the wrapper last sent anything, on the loop's clock."""
        loop.add_reader(endpoint, self._readable)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_congested(self) -> bool:
        """Whether the other side has stopped reading."""
        return self._outgoing.is_congested

    def expect(self, identifier: int, method: str) -> None:
        """Note that a request is waiting for its answer."""
        self._asked[identifier] = Waiting(method, self._loop.time())

    @property
    def oldest(self) -> Waiting | None:
        """The request that has waited longest for its answer."""
        # A copy, because other threads may answer meanwhile.
        return next(iter(list(self._asked.values())), None)

    def is_released(self, identifier: int | None) -> bool:
        """Return whether a request was refused because its sensor is stopping, so that nothing waits for its answer."""
        return identifier in self._released

    def release(self, before: float, exception: Exception) -> None:
        """Refuse the requests made before a given time on the loop's clock. Their later answers are discarded."""
        for identifier, waiting in list(self._asked.items()):
            if waiting.since <= before:
                self.refuse(identifier, exception)
                self._released.add(identifier)

    def answer(self, identifier: int | None, value: Any) -> None:
        """Answer a request, or refuse it if the answer is too long. Does nothing if the session is closed."""
        if self._settle(identifier):
            return
        try:
            data = rpc.result(identifier, value)
        except ValueError as exception:
            data = rpc.error(identifier, ValueError(f"{exception}; ask for less, as with limit"))
        self._outgoing.send(data)
        self._answered(identifier)

    def refuse(self, identifier: int | None, exception: Exception, code: int = rpc.APPLICATION_ERROR) -> None:
        """Answer a request with an error. Does nothing if the wrapper has closed the session."""
        if self._settle(identifier):
            return
        self._outgoing.send(rpc.error(identifier, exception, code))
        self._answered(identifier)

    def notify(self, method: str, params: rpc.Message) -> None:
        """Send the wrapper a notification."""
        self._outgoing.send(rpc.notification(method, params))

    def close(self) -> None:
        """End the session. Does nothing if it has already ended."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        self._loop.remove_reader(self._socket)
        self._outgoing.close()
        self.left()
        self._handler.closed(self)

    def drain(self) -> None:
        """Handle everything the wrapper has sent so far; stop after MOST_LAST_CHUNKS if it keeps sending."""
        for _ in range(MOST_LAST_CHUNKS):
            if self._closed or not self._receive():
                break
        self._handle_waiting()

    def _readable(self) -> None:
        idle = not self._waiting
        self._receive()
        if idle and self._waiting:
            self._take_turn()

    def _receive(self) -> bool:
        """Read a chunk. Returns False when there is nothing to read now, or the wrapper has closed the session."""
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
            self._limit_strangers(len(data))
            self._waiting.extend(self._lines.feed(data))
        except ProtocolError as exception:
            self._end(exception)
        return True

    def _handle_waiting(self) -> None:
        """Handle the messages that arrived before the end of the session: they still count."""
        try:
            while self._waiting and not self._closed:
                self._handle(self._waiting.popleft())
        except ProtocolError as exception:
            self._end(exception)

    def _take_turn(self) -> None:
        """Handle some messages; the rest wait until the other sessions have had their turn."""
        if self.is_closed:
            return
        try:
            for _ in range(min(MESSAGES_PER_TURN, len(self._waiting))):
                if self._is_full:
                    break
                self._handle(self._waiting.popleft())
                if self._closed:
                    return
        except ProtocolError as exception:
            self._end(exception)
            return
        except Exception:
            LOG.exception("%s: session ended by an unexpected error in it", self.ref or "an unknown process")
            self.close()
            return
        self._stalled = bool(self._waiting) and self._is_full
        if self._stalled and not self._is_full:
            # Another thread has answered in the meantime, before it could see that messages are waiting.
            self._stalled = False
        if self._waiting and not self._stalled:
            self._loop.call_soon(self._take_turn)
        if self._paused != (self._stalled or len(self._waiting) > MOST_WAITING):
            self._pause_or_resume()

    @property
    def _is_full(self) -> bool:
        """Whether the next message must wait until earlier ones are answered, or answers are read."""
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
            call_in_loop(self._loop, self._go_on)

    def _go_on(self) -> None:
        if self._stalled and not self._is_full:
            self._stalled = False
            self._take_turn()

    def _limit_strangers(self, size: int) -> None:
        """Count received bytes. Raises ProtocolError if too many arrive before a token."""
        if self._trusted or self.ref is not None:
            return
        self._strangers_bytes += size
        if self._strangers_bytes > STRANGERS_BYTES:
            raise ProtocolError(f"more than {STRANGERS_BYTES} bytes came before a token")

    def _pause_or_resume(self) -> None:
        self._paused = not self._paused
        if self._paused:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _settle(self, identifier: int | None) -> bool:
        """Mark a request as answered. Returns True if it was released, so that its answer must be discarded."""
        if identifier in self._released:
            self._released.discard(identifier)
            return True
        if identifier is not None:
            self._asked.pop(identifier, None)
        return False

    def _end(self, exception: ProtocolError) -> None:
        LOG.warning("%s: session ended: %s", self.ref or "an unknown process", exception)
        self.close()
