"""The protocol between a pool and its worker processes: messages over one socket, each preceded by its length.

    pool                            worker
    b"name"                         imports the function's module
                                    b"{}"          the deadline counts from here on
    b"[arguments, ...]"             calls the function
                                    {"value": ...} or {"exceeded": ...} or {"failed": ...}

Every worker imports this module, so it uses little of the standard library, and nothing else.
"""

from __future__ import annotations

import socket
import struct
import time

LENGTH = struct.Struct("!Q")

CHUNK = 1 << 18
"""Bytes that are read at a time. Memory grows with the bytes received, not with the length announced."""


class TooLong(Exception):
    """A message exceeds its limit."""


def send(line: socket.socket, message: bytes, until: float | None = None) -> None:
    """Send one message. Raises TimeoutError, and OSError when the other side has closed.

    :param until: the deadline on the monotonic clock; None for no deadline.
    """
    header = LENGTH.pack(len(message))
    # A long message is not copied just to put its length before it.
    for part in (header + message,) if len(message) < CHUNK else (header, message):
        _await(line, until)
        line.sendall(part)


def receive(line: socket.socket, longest: int, until: float | None = None) -> bytes | None:
    """Receive one message; None when the other side has closed. Raises TooLong, TimeoutError and OSError.

    :param longest: maximum number of bytes of a message.
    :param until: as in `send`.
    """
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
