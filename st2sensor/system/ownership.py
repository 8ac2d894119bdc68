"""Keeps root's files out of other users' folders: a service that runs as such a user could not use these files
later."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

ROOT = 0


def other_owner(folder: Path) -> tuple[int, int] | None:
    """Return uid and gid of a folder's owner if this process runs as root, and the folder belongs to another user.
    Raises no error."""
    if os.geteuid() != ROOT:
        return None
    try:
        status = folder.stat()
    except OSError:
        return None
    return None if status.st_uid == ROOT else (status.st_uid, status.st_gid)


def hand_over(path: Path) -> None:
    """Give a path that root has just created to the owner of the folder that it is in."""
    owner = other_owner(path.parent)
    if owner is not None:
        _give(path, owner)


def hand_over_content(folder: Path) -> None:
    """Give all files that root has left in a folder to the folder's owner."""
    owner = other_owner(folder)
    if owner is not None:
        for path in folder.rglob("*"):
            _give(path, owner)


def _give(path: Path, owner: tuple[int, int]) -> None:
    # A file may be gone, or be on a file system without owners.
    with suppress(OSError):
        if path.lstat().st_uid == ROOT:
            os.chown(path, *owner, follow_symlinks=False)
