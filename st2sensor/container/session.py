"""One connection of a wrapper: JSON-RPC lines in and out. A sensor's process and each of its forks has its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from st2sensor import rpc
from st2sensor.errors import ProtocolError

LOG = logging.getLogger(__name__)


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
        self._transport: asyncio.Transport | None = None
        self.ref: str | None = None
        """The sensor's reference, once the wrapper has shown its token."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._handler.handle(self, rpc.decode(line))
        except ProtocolError as exception:
            LOG.warning("%s: session ended: %s", self.ref or "an unknown process", exception)
            self.close()

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
        if self._transport is not None:
            self._transport.close()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
