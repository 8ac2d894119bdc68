"""How a pool and its worker processes speak: one socket, one message after the other, each with its length before it.

    pool                            worker
    b"name"                         imports what the function needs
                                    b"{}"          from here on the deadline counts
    b"[arguments, ...]"             calls it
                                    {"value": ...} or {"exceeded": ...} or {"failed": ...}

Standard library only, and little of it: each worker imports this.
"""

from __future__ import annotations

import socket
import struct
import time

LENGTH = struct.Struct("!Q")

CHUNK = 1 << 18
"""Bytes that are asked for at once: memory grows with what has come, not with what was announced."""


class TooLong(Exception):
    """A message is longer than it may be."""


def send(line: socket.socket, message: bytes, until: float | None = None) -> None:
    """Send one message. Raises TimeoutError, and OSError when the other side is gone.

    :param until: a time of time.monotonic; None to wait as long as it takes.
    """
    header = LENGTH.pack(len(message))
    # A long message is not copied just to put its length before it.
    for part in (header + message,) if len(message) < CHUNK else (header, message):
        _await(line, until)
        line.sendall(part)


def receive(line: socket.socket, longest: int, until: float | None = None) -> bytes | None:
    """Receive one message; None at the end of the line. Raises TooLong, TimeoutError, OSError."""
    header = _exactly(line, LENGTH.size, until)
    if header is None:
        return None
    (length,) = LENGTH.unpack(header)
    if length > longest:
        raise TooLong
    return _exactly(line, length, until)


def _exactly(line: socket.socket, length: int, until: float | None) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        _await(line, until)
        part = line.recv(min(CHUNK, length - len(received)))
        if not part:
            return None
        received += part
    return bytes(received)


def _await(line: socket.socket, until: float | None) -> None:
    if until is not None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line.settimeout(left)
