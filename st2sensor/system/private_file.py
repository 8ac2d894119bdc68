"""Creates files that other users cannot read, because they hold what sensors have stored."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from st2sensor.system.ownership import hand_over

OTHERS = stat.S_IRWXO
"""All permissions of other users."""


def create(path: Path) -> None:
    """Create an empty file, and its folder, when missing. Remove other users' permissions from an existing file.

    SQLite gives its files next to a database the same permissions and, as root, the same owner. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # At no time may others open the file. It is not opened here either: closing a database's file would release the
    # locks that this process holds on it.
    with suppress(FileExistsError):
        os.mknod(path, stat.S_IFREG | stat.S_IRUSR | stat.S_IWUSR)
        hand_over(path)
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError, PermissionError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & OTHERS:
                file.chmod(mode & ~OTHERS)
