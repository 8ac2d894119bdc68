"""One connection of a wrapper: JSON-RPC lines in and out. A sensor's process and each of its forks has its own."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Protocol

import orjson

from st2sensor import rpc
from st2sensor.errors import ProtocolError

LOG = logging.getLogger(__name__)

TURN = 16
"""Messages that are handled before other sessions have their turn."""

BACKLOG = 256
"""Messages that may wait for their turn before the socket is left unread."""


class Handler(Protocol):
    """What answers the messages of a session."""

    def handle(self, session: Session, message: rpc.Message) -> None:
        """Act on a request or notification, now or later."""

    def closed(self, session: Session) -> None:
        """The wrapper has hung up."""


class Session(asyncio.Protocol):
    """:param handler: shared by all sessions."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lines = rpc.LineBuffer()
        self._waiting: deque[bytes] = deque()
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self.ref: str | None = None
        """The sensor's reference, once the wrapper has shown its token."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance(): uvloop's transports are none of asyncio's.
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        idle = not self._waiting
        try:
            self._waiting.extend(self._lines.feed(data))
        except ProtocolError as exception:
            self._end(exception)
        if idle and self._waiting:
            self._take_turn()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._handler.closed(self)

    def answer(self, identifier: int | None, value: Any) -> None:
        """Answer a request; does nothing when the wrapper has hung up."""
        self._send(rpc.result(identifier, value))

    def refuse(self, identifier: int | None, exception: Exception, code: int = rpc.APPLICATION_ERROR) -> None:
        """Answer a request with an error."""
        self._send(rpc.error(identifier, exception, code))

    def notify(self, method: str, params: rpc.Message) -> None:
        """Tell the wrapper something."""
        self._send(rpc.notification(method, params))

    def close(self) -> None:
        self._waiting.clear()
        if self._transport is not None:
            self._transport.close()

    def _take_turn(self) -> None:
        """Handle some messages; the rest waits until the other sessions have had their turn."""
        try:
            for _ in range(min(TURN, len(self._waiting))):
                self._handler.handle(self, _decode(self._waiting.popleft()))
                if not self._waiting:
                    break
        except ProtocolError as exception:
            self._end(exception)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_turn)
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        full = len(self._waiting) > BACKLOG
        if full == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _end(self, exception: ProtocolError) -> None:
        LOG.warning("%s: session ended: %s", self.ref or "an unknown process", exception)
        self.close()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _decode(line: bytes) -> rpc.Message:
    """What `rpc.decode` does, faster for what JSON's standard covers."""
    try:
        message = orjson.loads(line)
    except ValueError:
        # NaN, long integers, lone surrogates: Python's JSON takes them.
        return rpc.decode(line)
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError("not a JSON-RPC 2.0 message")
    return message
