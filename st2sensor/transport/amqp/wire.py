"""py-amqp's connection: every wait has a deadline, every buffer a bound, and it knows when it is blocked."""

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
"""Seconds that a broker has to answer one request on a connection that is open."""

FRAME = 131_072
"""Bytes of a frame, at most, whatever the broker proposes; RabbitMQ's own limit."""

SMALLEST_FRAME = 4096
"""Bytes, as AMQP says."""

LONGEST_BODY = 64 * 2**20
"""Bytes of a message that is received, unless somebody wants less."""

HEADER = 2
"""The type of the frame that says how long a message is."""

AT_A_TIME = 100
"""Frames that are read without a pause, so that a broker that never stops sending holds nobody."""


def bounded(longest: int) -> Callable[..., Any]:
    """py-amqp's reader of frames, which refuses a message before it is read.

    :param longest: bytes of its body.
    """

    def factory(connection: Any, callback: Any) -> Any:
        handle = frame_handler(connection, callback)

        def on_frame(frame: tuple[int, int, bytes]) -> Any:
            if frame[0] == HEADER:
                (size,) = unpack_from(">Q", frame[2], 4)
                if size > longest:
                    raise OSError(f"it sends a message of {size} bytes, and {longest} are the limit")
            return handle(frame)

        return on_frame

    return factory


class WireChannel(amqp.Channel):  # type: ignore[misc]
    """A channel whose requests are answered in time, or end the connection."""

    def wait(self, *arguments: Any, **options: Any) -> Any:
        if self.connection is None:
            return super().wait(*arguments, **options)
        with self.connection.within(ANSWER, "answered"):
            return super().wait(*arguments, **options)


class Wire(amqp.Connection):  # type: ignore[misc]
    """One connection to one broker; for one thread.

    :param longest: bytes of the body of a message that is received.
    :ivar blocked: why the broker takes no messages for now, in its own words; None when it does.
    """

    Channel = WireChannel

    _METHODS: ClassVar[dict[Any, Any]] = {
        **amqp.Connection._METHODS,
        # RabbitMQ says why, and py-amqp does not read it.
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
        """Connect and log in, all of it within so many seconds. Raises what py-amqp does."""
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
        """Have all that is done inside end in so many seconds, or sooner if what is around it says so."""
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
            # A heartbeat is no event: a broker that sends nothing else must not make this endless.
            while not self.blocking_read(max(0.0, until - time.monotonic())):
                if time.monotonic() >= until:
                    break
        self.heartbeat_tick()

    def drop(self) -> None:
        """Close the socket without a word: a broker that is blocked, or gone, would never answer a goodbye."""
        if self._transport is not None:
            self.collect()

    def _on_tune(self, channel_max: int, frame_max: int, server_heartbeat: int, argsig: str = "BlB") -> None:
        agreed = min(frame_max or FRAME, FRAME)
        if agreed < SMALLEST_FRAME:
            raise OSError(f"it proposes frames of {frame_max} bytes, and {SMALLEST_FRAME} are the least")
        super()._on_tune(channel_max, agreed, server_heartbeat, argsig)

    def _on_blocked(self, reason: str = "") -> None:
        self.blocked = "".join(character if character.isprintable() else "?" for character in reason) or "no reason"

    def _on_unblocked(self) -> None:
        self.blocked = None
