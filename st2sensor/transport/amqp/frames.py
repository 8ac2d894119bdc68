"""Sends many small AMQP frames with few system calls, and goes on reading while the broker takes none.

py-amqp hands each message's frames to its transport at once, one write a message. Between `hold` and `release` the
writes are collected instead. The writer is py-amqp's own, made by the factory that its connection takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_writer

PAUSE = 1.0
"""Seconds that a write waits for room before it looks at what the broker says."""


class FrameBuffer:
    """Stands between py-amqp's frame writer and its transport."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._held: list[bytes] | None = None

    def factory(self, connection: Any, transport: Any) -> Any:
        """What py-amqp calls to make its frame writer."""
        self._transport = transport
        self._held = None
        return frame_writer(connection, self)

    def write(self, data: Any) -> None:
        """What the frame writer calls; data is a view of a buffer that is used again."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(bytes(data))

    def hold(self) -> None:
        """Collect what is written from now on."""
        self._held = []

    def drop(self) -> None:
        """Forget what was collected."""
        self._held = None

    def release(self, waiting: Callable[[int], None]) -> None:
        """Send what was collected, and what is written meanwhile.

        :param waiting: called every PAUSE while it takes longer, with the bytes taken since; raises to give up.
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
