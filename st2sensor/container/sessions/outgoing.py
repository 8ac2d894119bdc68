"""The sending half of a session: a socket that any thread may write to without waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

from st2sensor.system.event_loop import call_in_loop

CONGESTED_BYTES = 1_000_000
"""Maximum number of bytes waiting to be sent before the session reads no more requests."""

UNREAD_LIMIT = 100_000_000
"""Maximum number of bytes waiting to be sent before the session is ended."""


class Outgoing:
    """Sends bytes in order, and keeps bytes that do not fit into the socket. `send` is for any thread.

    :param endpoint: a non-blocking socket.
    :param overflowed: called in the loop's thread when too many bytes are waiting.
    :param drained: called in the loop's thread when some of the waiting bytes have been sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: socket.socket,
        *,
        overflowed: Callable[[], None],
        drained: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = endpoint
        self._overflowed = overflowed
        self._drained = drained
        self._lock = threading.Lock()
        self._unsent = bytearray()
        """Bytes that did not fit into the socket."""
        self._closed = False

    @property
    def is_congested(self) -> bool:
        """Whether the other side has stopped reading."""
        return len(self._unsent) > CONGESTED_BYTES

    def send(self, data: bytes) -> None:
        """Send bytes now, or when the socket has space. Does nothing if the other side has closed the connection."""
        with self._lock:
            waits = bool(self._unsent)
            sent = 0 if waits else self._try_to_send(data)
            self._unsent += data[sent:]
            unsent = len(self._unsent)
        if unsent > UNREAD_LIMIT:
            call_in_loop(self._loop, self._overflowed)
        elif unsent and not waits:
            call_in_loop(self._loop, self._wait_writable)

    def close(self) -> None:
        """Close the socket. For the loop's thread."""
        self._closed = True
        self._loop.remove_writer(self._socket)
        # Not while another thread sends.
        with self._lock:
            self._socket.close()

    def _try_to_send(self, data: bytes | memoryview) -> int:
        """Return how many bytes the socket took. If the other side has closed, all count as sent."""
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
        with self._lock:
            with memoryview(self._unsent) as unsent:
                sent = self._try_to_send(unsent)
            del self._unsent[:sent]
            is_over = not self._unsent
        if is_over:
            self._loop.remove_writer(self._socket)
        self._drained()
