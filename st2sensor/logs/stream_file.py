"""The file to which a standard stream of this process was redirected, such as the one that `st2ctl start` opens."""

from __future__ import annotations

import os
import stat
from pathlib import Path

STANDARD = (1, 2)
"""The descriptors of the standard streams that are written."""


class StreamFile:
    """A regular file by the name that it had at the start. For any thread.

    :param descriptor: a descriptor of the file, from STANDARD.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self.path = path

    @classmethod
    def of(cls, descriptor: int) -> StreamFile | None:
        """Return the file behind a descriptor; None if it is a pipe, a terminal or closed, or has no name any more."""
        try:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            opened = os.fstat(descriptor)
            found = stat.S_ISREG(opened.st_mode) and os.path.samestat(opened, path.stat())
        except OSError:
            return None
        return cls(descriptor, path) if found else None

    def reopen(self) -> None:
        """Open the file by its name again, and make all standard streams that went to it write there.

        Raises OSError, and keeps the old file, if that fails.
        """
        previous = os.fstat(self._descriptor)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        opened = os.open(self.path, flags, stat.S_IMODE(previous.st_mode))
        try:
            for descriptor in STANDARD:
                if os.path.samestat(os.fstat(descriptor), previous):
                    os.dup2(opened, descriptor)
        finally:
            os.close(opened)


def descriptor_of(stream: object) -> int | None:
    """Return the descriptor of a text stream; None if it has none."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
