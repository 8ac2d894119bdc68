"""Sends many small AMQP frames with few system calls, and keeps reading while the broker accepts none.

py-amqp passes the frames of each message to its transport at once, with one write for each message. Between `hold` and
`release` these writes are collected. py-amqp's own frame writer is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_writer

PAUSE = 1.0
"""Seconds that a write waits for space in the socket's buffer before data from the broker is read."""


class FrameBuffer:
    """Stands between py-amqp's frame writer and its transport."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._held: list[bytes] | None = None

    def factory(self, connection: Any, transport: Any) -> Any:
        """Make the frame writer. py-amqp calls this."""
        self._transport = transport
        self._held = None
        return frame_writer(connection, self)

    def write(self, data: Any) -> None:
        """Write or collect data. The frame writer calls this; `data` is a view of a buffer that the writer reuses."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(bytes(data))

    def hold(self) -> None:
        """Collect all writes from now on."""
        self._held = []

    def drop(self) -> None:
        """Drop the collected data."""
        self._held = None

    def release(self, waiting: Callable[[int], None]) -> None:
        """Send the collected data, and all data written meanwhile.

        :param waiting: called every PAUSE seconds with the number of bytes sent since the last call; raises to give up.
        """
        try:
            taken, looked = 0, time.monotonic()
            while self._held:
                pending, self._held = memoryview(b"".join(self._held)), []
                while pending:
                    sent = self._transport.some(pending, PAUSE)
                    pending, taken = pending[sent:], taken + sent
                    if not sent or time.monotonic() - looked >= PAUSE:
                        waiting(taken)
                        taken, looked = 0, time.monotonic()
        finally:
            self._held = None
