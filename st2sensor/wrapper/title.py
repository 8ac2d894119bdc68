"""What the process list shows of this process: the sensor's reference instead of an interpreter's command line."""

from __future__ import annotations

import ctypes
from typing import Tuple

PR_SET_NAME = 15

ARG_START, ARG_END = 47, 48
"""Fields of /proc/self/stat, counted from 0: where in memory the command line begins and ends."""


def set_title(title: str, name: str) -> None:
    """Show `title` as the command line, cut to the room that the original one left, and `name` as the short name.

    Nothing happens where the kernel does not tell the place: a title is a convenience.
    """
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15])
    try:
        start, end = _command_line()
    except (OSError, ValueError, IndexError):
        return
    room = end - start
    if room < 2:
        return
    text = title.encode()[: room - 2]
    # A last byte that is not zero tells the kernel to show the line up to the first zero, and no padding.
    ctypes.memmove(start, text + b"\0" * (room - 1 - len(text)) + b".", room)


def show(ref: str) -> None:
    """Show the sensor that this process runs."""
    set_title(f"st2sensor: {ref}", ref.rpartition(".")[2])


def _command_line() -> Tuple[int, int]:
    with open("/proc/self/stat", "rb") as file:
        # The second field, a name in parentheses, may hold spaces.
        fields = [b"", b"", *file.read().rpartition(b")")[2].split()]
    return int(fields[ARG_START]), int(fields[ARG_END])
