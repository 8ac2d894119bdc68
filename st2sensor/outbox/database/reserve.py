"""A file that reserves space on the disk. It is deleted when the disk is full, because deleting rows needs space.

A deletion is written to the journal first. The journal is then written to the database, which may grow by as much as
the journal's size. The journal is kept smaller than the reserve, so that there is always enough space for this growth.
"""

from __future__ import annotations

import os
from pathlib import Path

LARGEST, SMALLEST = 8 << 20, 512 << 10
"""Maximum and minimum size of the reserve, in bytes."""

SHARE = 8
"""Number by which the free space is divided to get the size of the reserve."""


class Reserve:
    """The reserve of one outbox. For the writer's thread.

    :param path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-reserve")
        disk = os.statvfs(path.parent)
        free = disk.f_bavail * disk.f_frsize + self._held()
        self.size = max(SMALLEST, min(LARGEST, free // SHARE))
        """Bytes that are reserved."""

    @property
    def journal(self) -> int:
        """Size in bytes at which the journal is written to the database. One commit may exceed it."""
        return self.size // 2

    @property
    def commit(self) -> int:
        """Bytes of entries in one commit. The commit takes more space in the journal, which holds whole pages."""
        return self.size // 4

    @property
    def is_held(self) -> bool:
        return self._held() >= self.size

    def take(self, more: int = 0) -> None:
        """Reserve the space, and `more` bytes for an unusually large commit. Raises OSError if the disk lacks space."""
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
            # The file system may have allocated a part before it failed.
            self.release()
            raise
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Give up the reserved space."""
        self._path.unlink(missing_ok=True)

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
