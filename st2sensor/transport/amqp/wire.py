"""py-amqp's connection, with a deadline for every wait, a limit for every buffer, and a record of being blocked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from struct import unpack_from
from typing import Any, ClassVar

import amqp
from amqp import spec
from amqp.method_framing import frame_handler

from st2sensor.transport.amqp.sockets import PlainSocket, TlsSocket

ANSWER = 10.0
"""Seconds that a broker may take to answer one request on an open connection."""

FRAME = 131_072
"""The maximum size of a frame, in bytes, regardless of the broker's proposal. RabbitMQ has the same limit."""

SMALLEST_FRAME = 4096
"""The smallest limit for frames that AMQP allows, in bytes."""

LONGEST_BODY = 64 * 2**20
"""The maximum size of a received message, in bytes, unless a lower limit is given."""

HEADER = 2
"""The type of the frame that gives the length of a message."""

AT_A_TIME = 100
"""The number of frames to read without a pause. So a broker that never stops sending does not block other work."""


def bounded(longest: int) -> Callable[..., Any]:
    """Return a factory for py-amqp's frame handler that refuses a long message before it is read.

    :param longest: the maximum size of a message's body, in bytes.
    """

    def factory(connection: Any, callback: Any) -> Any:
        handle = frame_handler(connection, callback)

        def on_frame(frame: tuple[int, int, bytes]) -> Any:
            if frame[0] == HEADER:
                (size,) = unpack_from(">Q", frame[2], 4)
                if size > longest:
                    raise OSError(f"it sends a message of {size} bytes, but the limit is {longest}")
            return handle(frame)

        return on_frame

    return factory


class WireChannel(amqp.Channel):  # type: ignore[misc]
    """A channel whose requests have a deadline. Missing it ends the connection."""

    def wait(self, *arguments: Any, **options: Any) -> Any:
        if self.connection is None:
            return super().wait(*arguments, **options)
        with self.connection.within(ANSWER, "answered"):
            return super().wait(*arguments, **options)


class Wire(amqp.Connection):  # type: ignore[misc]
    """A connection to one broker. For one thread.

    :param longest: the maximum size of a received message's body, in bytes.
    :ivar blocked: the broker's reason for accepting no messages now; None if it accepts them.
    """

    Channel = WireChannel

    _METHODS: ClassVar[dict[Any, Any]] = {
        **amqp.Connection._METHODS,
        # RabbitMQ sends a reason, which py-amqp does not read.
        spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s"),
    }

    def __init__(self, host: str, *, longest: int = LONGEST_BODY, **options: Any) -> None:
        super().__init__(host, frame_handler=bounded(longest), **options)
        self.blocked: str | None = None

    def Transport(
        self, host: str, connect_timeout: float, ssl: Any = False, *_: Any, **__: Any
    ) -> PlainSocket | TlsSocket:
        if ssl:
            return TlsSocket(host, ssl=ssl, connect_timeout=connect_timeout)
        return PlainSocket(host, connect_timeout=connect_timeout)

    def open(self, seconds: float) -> None:
        """Connect and log in within a number of seconds. Raises the exceptions of py-amqp."""
        self.transport = self.Transport(self.host, seconds, self.ssl)
        with self.within(seconds, "answered"):
            try:
                self.transport.connect()
                self.on_inbound_frame = self.frame_handler_cls(self, self.on_inbound_method)
                self.frame_writer = self.frame_writer_cls(self, self.transport)
                while not self._handshake_complete:
                    self.drain_events()
            except BaseException:
                self.collect()
                raise

    @contextmanager
    def within(self, seconds: float, what: str) -> Iterator[None]:
        """Limit the time of all operations inside, unless an outer limit is shorter.

        :param seconds: the limit.
        :param what: a participle that names the operation, for example `answered`.
        """
        transport = self._transport
        if transport is None:
            raise amqp.exceptions.RecoverableConnectionError("connection already closed")
        before = transport.until, transport.what
        transport.until, transport.what = min(before[0], time.monotonic() + seconds), what
        try:
            yield
        finally:
            transport.until, transport.what = before

    def service(self) -> None:
        """Read what has arrived, without waiting, and keep the heartbeats going."""
        with suppress(TimeoutError):
            for _ in range(AT_A_TIME):
                self.blocking_read(0)
        self.heartbeat_tick()

    def receive(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for one event from the broker, then keep the heartbeats going."""
        until = time.monotonic() + timeout
        with suppress(TimeoutError):
            # A heartbeat is not an event: a broker that sends nothing else must not make this endless.
            while not self.blocking_read(max(0.0, until - time.monotonic())):
                if time.monotonic() >= until:
                    break
        self.heartbeat_tick()

    def drop(self) -> None:
        """Close the socket without a handshake, which a blocked or vanished broker would never answer."""
        if self._transport is not None:
            self.collect()

    def _on_tune(self, channel_max: int, frame_max: int, server_heartbeat: int, argsig: str = "BlB") -> None:
        agreed = min(frame_max or FRAME, FRAME)
        if agreed < SMALLEST_FRAME:
            raise OSError(f"it proposes frames of {frame_max} bytes, but the minimum is {SMALLEST_FRAME}")
        super()._on_tune(channel_max, agreed, server_heartbeat, argsig)

    def _on_blocked(self, reason: str = "") -> None:
        self.blocked = "".join(character if character.isprintable() else "?" for character in reason) or "no reason"

    def _on_unblocked(self) -> None:
        self.blocked = None
