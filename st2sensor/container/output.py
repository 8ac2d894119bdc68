"""What a sensor prints, as whole lines in the container's log."""

from __future__ import annotations

import asyncio
import logging
import os

CHUNK = 65536
"""Bytes read at a time."""

LAST_CHUNKS = 16
"""Chunks read after the sensor has ended, at the most."""

LONGEST = 16384
"""Bytes; a longer line is logged in pieces."""


class Output:
    """Follows the pipe behind a sensor's stdout and stderr until it is closed.

    :param fd: read end, non-blocking; closed by this object.
    :param name: the sensor's logger.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, name: str) -> None:
        self._loop = loop
        self._fd = fd
        self._log = logging.getLogger(name)
        self._partial = b""
        loop.add_reader(fd, self._readable)

    def close(self) -> None:
        """Log what is left, and stop following: a process that got away may go on writing for ever."""
        for _ in range(LAST_CHUNKS):
            if self._fd == -1 or not self._readable():
                break
        self._end()

    def _readable(self) -> bool:
        """Read once; False when there is nothing more for now, or for good."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._write(line)
        while len(self._partial) > LONGEST:
            self._write(self._partial[:LONGEST])
            self._partial = self._partial[LONGEST:]
        return True

    def _end(self) -> None:
        if self._fd == -1:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._write(self._partial)
        self._partial = b""

    def _write(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self._log.info("%s", text)
