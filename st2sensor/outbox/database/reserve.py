"""A file that holds some of the disk, to be given up when the disk is full: deleting rows needs room, too.

What is deleted is written to the journal first, and the journal is then written to the database, which may grow by it.
The journal is kept smaller than the reserve, so that there is always room for that.
"""

from __future__ import annotations

import os
from pathlib import Path

LARGEST, SMALLEST = 8 << 20, 512 << 10
"""Bytes."""

SHARE = 8
"""So much of the room there is, one part of this many, is reserved."""


class Reserve:
    """:param path: of the database. For the writer's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-reserve")
        disk = os.statvfs(path.parent)
        free = disk.f_bavail * disk.f_frsize + self._held()
        self.size = max(SMALLEST, min(LARGEST, free // SHARE))
        """Bytes that are reserved, and given up when the disk is full."""

    @property
    def journal(self) -> int:
        """Bytes of the journal, before it is written to the database. One commit may go beyond it."""
        return self.size // 2

    @property
    def commit(self) -> int:
        """Bytes that belong into one commit: it takes more of the journal, whose pages are whole."""
        return self.size // 4

    @property
    def is_held(self) -> bool:
        return self._held() >= self.size

    def take(self, more: int = 0) -> None:
        """Reserve it, and more for a commit that is larger than others. Raises OSError when there is no room."""
        wanted = self.size + more
        if self._held() == wanted:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size > wanted:
                os.ftruncate(descriptor, wanted)
            else:
                os.posix_fallocate(descriptor, 0, wanted)
        except OSError:
            # What a file system has allocated before it failed is not for keeps.
            self.release()
            raise
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Give it up."""
        self._path.unlink(missing_ok=True)

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
