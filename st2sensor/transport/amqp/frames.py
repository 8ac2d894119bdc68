"""Sends many small AMQP frames with one system call.

py-amqp hands each message's frames to its transport at once, one write a message. Between `hold` and `release` the
writes are collected instead. The writer is py-amqp's own, made by the factory that its connection takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_writer


class FrameBuffer:
    """Stands between py-amqp's frame writer and its transport."""

    def __init__(self) -> None:
        self._send: Callable[[bytes], None] | None = None
        self._held: list[bytes] | None = None

    def factory(self, connection: Any, transport: Any) -> Any:
        """What py-amqp calls to make its frame writer."""
        self._send = transport.write
        self._held = None
        return frame_writer(connection, self)

    def write(self, data: Any) -> None:
        """What the frame writer calls; data is a view of a buffer that is used again."""
        if self._held is None:
            assert self._send is not None
            self._send(data)
        else:
            self._held.append(bytes(data))

    def hold(self) -> None:
        """Collect what is written from now on."""
        self._held = []

    def release(self) -> None:
        """Send what was collected."""
        held, self._held = self._held, None
        if held:
            assert self._send is not None
            self._send(b"".join(held))
