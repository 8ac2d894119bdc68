"""Where an outbox's file is, and whether it is still there: someone may delete or replace it under the container.

The connections go on with the deleted files, which are gone with the process. So what they hold is copied to a new
file, which is renamed into place.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from st2sensor.outbox.database.aside import JOURNALS, finish, rename, sync, with_suffix

COPY, COPIED = "-copy", "-copied"
"""A copy under way, and one that is complete."""

Identity = tuple[tuple[int, int] | None, ...]
"""Device and number of the database, its journal and the journal's index; None for one that is missing."""


def identity(path: Path) -> Identity:
    """What is at a path now."""
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
    """Complete what a crash has cut in two, before the outbox is opened. Raises OSError."""
    finish(path)
    with_suffix(path, COPY).unlink(missing_ok=True)
    copied = with_suffix(path, COPIED)
    if copied.exists():
        put_in_place(path, None)


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy all that an open database holds to beside a path, whatever is at that now. Raises OSError, sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = with_suffix(path, COPY)
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as target:
        connection.backup(target)
    sync(draft)
    draft.rename(with_suffix(path, COPIED))
    sync(path.parent)


def put_in_place(path: Path, ours: Identity | None) -> Path | None:
    """Rename the copy into place, once nobody has the files open; returns where another database went that was there.

    :param ours: of the files that were copied: they are not kept. Raises OSError.
    """
    found = identity(path)
    is_ours = found[0] is None or (ours is not None and found[0] == ours[0])
    aside = None if is_ours else rename(path, "replaced")
    for suffix in JOURNALS:
        with_suffix(path, suffix).unlink(missing_ok=True)
    with_suffix(path, COPIED).rename(path)
    sync(path.parent)
    return aside
