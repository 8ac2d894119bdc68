"""Puts an outbox's file back if someone has deleted or replaced it while the container is running.

The open connections can still read the deleted files, which vanish with the process. So the contents are copied to a
new file, which is renamed into place.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from st2sensor.outbox.database.aside import JOURNALS, finish, rename, sync, with_suffix

COPY, COPIED = "-copy", "-copied"
"""Suffixes of a copy in progress, and of a complete one."""

Identity = tuple[tuple[int, int] | None, ...]
"""Device and inode of the database, its journal and the journal's index; None for a missing file."""


def identity(path: Path) -> Identity:
    """Return the identity of the files at a path."""
    found: list[tuple[int, int] | None] = []
    for suffix in ("", *JOURNALS):
        try:
            status = with_suffix(path, suffix).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return tuple(found)


def prepare(path: Path) -> None:
    """Complete a move or a copy that a crash has interrupted, before the outbox is opened. Raises OSError."""
    finish(path)
    with_suffix(path, COPY).unlink(missing_ok=True)
    copied = with_suffix(path, COPIED)
    if copied.exists():
        put_in_place(path, None)


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy an open database to a file next to a path. Raises OSError and sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = with_suffix(path, COPY)
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        connection.backup(target)
    sync(draft)
    draft.rename(with_suffix(path, COPIED))
    sync(path.parent)


def put_in_place(path: Path, ours: Identity | None) -> Path | None:
    """Rename the copy into place. No process may have the files open.

    Return the new name of another database that was in its place, or None. Raises OSError.

    :param ours: identity of the files that were copied, which are not kept.
    """
    found = identity(path)
    is_ours = found[0] is None or (ours is not None and found[0] == ours[0])
    aside = None if is_ours else rename(path, "replaced")
    for suffix in JOURNALS:
        with_suffix(path, suffix).unlink(missing_ok=True)
    with_suffix(path, COPIED).rename(path)
    sync(path.parent)
    return aside
