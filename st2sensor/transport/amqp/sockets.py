"""py-amqp's sockets, with a deadline for every wait.

py-amqp limits only single system calls, and most of them not at all. A peer that sends nothing, or one byte now and
then, keeps it waiting forever. Here each call ends at `until`, no matter what the peer does.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.transport import SSLTransport, TCPTransport, _AbstractTransport

from st2sensor.system.resolver import resolved

READ_AHEAD = 8192
"""The minimum number of bytes to request in one read. It keeps the unread rest, which is copied, small."""

PIECE = 65536
"""The maximum number of bytes in one write."""

LONGEST_FRAME = 1_048_576
"""The maximum size of a frame, in bytes. A peer that announces a larger one breaks the agreed protocol."""

RATE = 50_000
"""Bytes per second below which a write counts as stuck."""

NOT_NOW = (BlockingIOError, TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Silent(OSError):
    """The broker has not carried out an operation in time."""


class BoundedSocket(_AbstractTransport):  # type: ignore[misc]
    """The part that plain and TLS sockets share.

    :ivar until: the deadline of the current operation, on the monotonic clock.
    :ivar what: a participle that names the operation, for example `answered`.
    """

    usual = 10.0
    """Seconds that an operation may take by default."""

    def __init__(self, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self.until = math.inf
        self.what = "answered"
        self._call_until = math.inf
        self._read_buffer = b""

    @contextmanager
    def having_timeout(self, timeout: float | None) -> Iterator[Any]:
        """Limit the time for one frame, regardless of the number of pieces. py-amqp calls this."""
        until = self.until if math.isfinite(self.until) else time.monotonic() + self.usual
        self._call_until = until if timeout is None else time.monotonic() + timeout
        try:
            yield self.sock
        finally:
            self._call_until = math.inf

    def _connect(self, host: str, port: int, timeout: float) -> None:
        last: OSError | None = None
        for family, kind, protocol, _, address in resolved(host, port, self._left(timeout)):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(self._left(timeout))
                opened.connect(address)
            except OSError as exception:
                opened.close()
                last = exception
            else:
                self.sock = opened
                return
        raise last or OSError(f"{host} has no address")

    def _left(self, most: float) -> float:
        """Return the seconds until the operation's deadline. Raises Silent if the deadline has passed."""
        left = min(most, self.until - time.monotonic())
        if left <= 0:
            raise self._silent()
        return left

    def _silent(self) -> Silent:
        return Silent(f"it has not {self.what} in time")

    def _setup_transport(self) -> None:
        self._read_buffer = b""

    def _shutdown_transport(self) -> None:
        """Do nothing: a broker that is gone would never answer the end of a TLS session."""

    def _read(self, n: int, initial: bool = False) -> bytes:  # noqa: ARG002 (py-amqp's)
        if n > LONGEST_FRAME:
            raise OSError(f"it announces a frame of {n} bytes, but the limit is {LONGEST_FRAME}")
        pieces = [self._read_buffer]
        size = len(self._read_buffer)
        try:
            while size < n:
                pieces.append(self._received(n - size))
                size += len(pieces[-1])
        finally:
            self._read_buffer = b"".join(pieces)
        found, self._read_buffer = self._read_buffer[:n], self._read_buffer[n:]
        return found

    def _received(self, wanted: int) -> bytes:
        """Wait for data, and return it. Raises TimeoutError if the call's time is over, and Silent."""
        now = time.monotonic()
        if now >= self.until:
            raise self._silent()
        left = min(self.until, self._call_until) - now
        self.sock.settimeout(max(0.0, left) if math.isfinite(left) else self.usual)
        try:
            data: bytes = self.sock.recv(max(wanted, READ_AHEAD))
        except NOT_NOW:
            if time.monotonic() >= self.until:
                raise self._silent() from None
            raise TimeoutError from None
        if not data:
            raise OSError("it has closed the connection")
        return data

    def _write(self, data: Any) -> None:
        """Write all data. Raises Silent if that is slower than RATE."""
        view = memoryview(data).cast("B")
        limit = time.monotonic() + self.usual + len(view) / RATE
        while view:
            view = view[self.some(view, min(self.until, limit) - time.monotonic()) :]
            if view and time.monotonic() >= min(self.until, limit):
                raise self._silent()

    def some(self, data: memoryview, timeout: float) -> int:
        """Write as much as possible within `timeout` seconds. Return the number of bytes written."""
        self.sock.settimeout(max(0.0, timeout))
        try:
            sent: int = self.sock.send(data[:PIECE])
        except NOT_NOW:
            return 0
        return sent


class PlainSocket(BoundedSocket, TCPTransport):  # type: ignore[misc]
    """A socket without TLS."""


class TlsSocket(BoundedSocket, SSLTransport):  # type: ignore[misc]
    """A socket with TLS.

    :param ssl: the TLS context.
    """

    def __init__(self, host: str, *, ssl: ssl.SSLContext, **options: Any) -> None:
        super().__init__(host, **options)
        self._context = ssl

    def _setup_transport(self) -> None:
        super()._setup_transport()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        # This limits the handshake as a whole, not each of its steps.
        self.sock.settimeout(self._left(self.usual))
        try:
            self.sock.do_handshake()
        except TimeoutError:
            raise Silent(
                "it has not answered the TLS handshake in time; does the broker speak TLS on this port?"
            ) from None
