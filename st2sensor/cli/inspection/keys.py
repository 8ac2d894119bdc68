"""Reads single keys from a terminal, for views that scroll."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"k": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"j": "down",
    b"\x1b[5~": "page up",
    b"b": "page up",
    b"\x1b[6~": "page down",
    b" ": "page down",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[1~": "home",
    b"g": "home",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
    b"\x1b[4~": "end",
    b"G": "end",
    b"q": "quit",
}
"""Names of keys, by the bytes that a terminal sends for them. The letters are those of less(1)."""

MOST_BYTES = 256
"""Maximum number of bytes that are read at once. A held key sends many."""


class Keys:
    """The keys that a person presses.

    :param file: a terminal that sends each key at once; None for no keys.
    """

    def __init__(self, file: int | None) -> None:
        self._file = file

    @property
    def can_be_pressed(self) -> bool:
        return self._file is not None

    def wait(self, seconds: float) -> list[str]:
        """Return the names of keys as soon as one is pressed; an empty list after a number of seconds."""
        if self._file is None:
            time.sleep(max(0.0, seconds))
            return []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._file], [], [], left)[0]:
                break
            data = os.read(self._file, MOST_BYTES)
            if not data:
                # The terminal is gone, and would be readable forever.
                self._file = None
                return ["quit"]
            found = names_of(data)
            if found:
                return found
        return []


@contextmanager
def pressed() -> Iterator[Keys]:
    """Make the terminal send each key at once, without showing it. Ctrl-C still interrupts."""
    if not sys.stdin.isatty():
        yield Keys(None)
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        tty.setcbreak(file)
        yield Keys(file)
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def names_of(data: bytes) -> list[str]:
    """Return the names of the keys in a terminal's bytes. Other keys are left out."""
    found = []
    while data:
        known = next((sent for sent in sorted(NAMES, key=len, reverse=True) if data.startswith(sent)), None)
        if known is not None:
            found.append(NAMES[known])
        data = data[len(known or b"?") :]
    return found
