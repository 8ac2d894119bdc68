"""Sets a damaged outbox aside together with its journal. No crash can separate the two.

A marker file with the new name is written first. The next process that opens the outbox finds it, and completes the
move.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from st2sensor.errors import OutboxDamaged
from st2sensor.outbox.database.file import check, open_file

JOURNALS = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps next to a database."""


def set_aside(path: Path) -> Path | None:
    """Rename a damaged outbox, with its journal. Return the new name, or None if the outbox is sound.

    Raises OutboxError if the file cannot be used for another reason.
    """
    finish(path)
    try:
        check(path)
        open_file(path, "full").close()
    except OutboxDamaged:
        return rename(path, "damaged")
    return None


def rename(path: Path, why: str) -> Path:
    """Move a database and its journals to a new name that contains `why`, and return it."""
    aside = _unused(path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S')}"))
    draft = with_suffix(path, "-aside.new")
    draft.write_text(aside.name)
    sync(draft)
    draft.rename(with_suffix(path, "-aside"))
    sync(path.parent)
    path.rename(aside)
    sync(path.parent)
    finish(path)
    return aside


def finish(path: Path) -> None:
    """Complete a move that a crash has interrupted. Call this before the outbox is opened, while no process uses it."""
    marker = with_suffix(path, "-aside")
    if not marker.exists():
        return
    aside = path.with_name(marker.read_text())
    # The database is moved first. So if it is still in its old place, its journals are there too.
    for suffix in JOURNALS if aside.exists() else ():
        old, new = with_suffix(path, suffix), with_suffix(aside, suffix)
        if old.exists() and not new.exists():
            old.rename(new)
            sync(path.parent)
    marker.unlink()
    sync(path.parent)


def with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def sync(path: Path) -> None:
    """Flush a file, or the list of names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(path: Path) -> Path:
    """Return this path, or one with a number appended, that does not exist."""
    number, name = 1, path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name
