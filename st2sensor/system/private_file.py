"""Files that others may not read, because they hold what sensors have stored."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = stat.S_IRWXO


def create(path: Path) -> None:
    """Make an empty file, and its folder, when missing; take from others what they may do with one that is there.

    SQLite gives the files beside a database the same permissions. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a moment in which others may open it, and without opening it: to close a database's file would take away
    # the locks that this process holds on it.
    with suppress(FileExistsError):
        os.mknod(path, stat.S_IFREG | stat.S_IRUSR | stat.S_IWUSR)
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & OTHERS:
                file.chmod(mode & ~OTHERS)
