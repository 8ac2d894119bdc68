"""Makes the process list show the sensor's reference instead of an interpreter's command line."""

from __future__ import annotations

import ctypes
from typing import Tuple

LIBC = ctypes.CDLL(None)

PR_SET_NAME = 15

ARG_START, ARG_END = 47, 48
"""Fields of /proc/self/stat, counted from 0: the addresses at which the command line begins and ends."""


class Title:
    """The title of this process and its children.

    A title is a convenience: if the kernel does not report where the command line is in memory, it is left unchanged.
    """

    def __init__(self) -> None:
        try:
            start, end = _command_line()
        except (OSError, ValueError, IndexError):
            start = end = 0
        self._place, self._room = start, end - start

    def show_sensor(self, ref: str) -> None:
        """Show the sensor that this process runs."""
        self.show(f"st2sensor: {ref}", ref.rpartition(".")[2])

    def show(self, title: str, name: str) -> None:
        """Show a command line, cut to the length of the original one, and a short name."""
        LIBC.prctl(PR_SET_NAME, name.encode()[:15])
        if self._room > 1:
            text = title.encode()[: self._room - 2]
            # If the last byte is not zero, the kernel shows the line only up to the first zero, without the padding.
            line = text + b"\0" * (self._room - 1 - len(text)) + b"."
            ctypes.memmove(self._place, line, self._room)


def _command_line() -> Tuple[int, int]:
    with open("/proc/self/stat", "rb") as file:
        # The second field, a name in parentheses, may hold spaces.
        fields = [b"", b"", *file.read().rpartition(b")")[2].split()]
    return int(fields[ARG_START]), int(fields[ARG_END])
