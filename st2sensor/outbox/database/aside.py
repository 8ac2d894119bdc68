"""Sets a damaged outbox aside, with its journal, so that no crash in between parts the two.

A file with the new name is written first. Whoever opens the outbox next finds it, and finishes what was begun.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from st2sensor.errors import OutboxDamaged
from st2sensor.outbox.database.file import check, open_file

JOURNALS = ("-wal", "-shm")
"""What SQLite adds to a file's name for those that belong to it."""


def set_aside(path: Path) -> Path | None:
    """Rename an outbox that is damaged, with its journal; returns its new name, or None when it is sound.

    Raises OutboxError when the file cannot be used for another reason.
    """
    finish(path)
    try:
        check(path)
        open_file(path, "full").close()
    except OutboxDamaged:
        return rename(path, "damaged")
    return None


def rename(path: Path, why: str) -> Path:
    """Move a database and its journals to a name that says why; returns that."""
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
    """Complete what a crash has cut in two. Before the outbox is opened, while nobody uses it."""
    marker = with_suffix(path, "-aside")
    if not marker.exists():
        return
    aside = path.with_name(marker.read_text())
    # The database is moved first: while it is where it was, nothing has been parted.
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
    """Have the disk hold a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(path: Path) -> Path:
    """A name like this one that nothing has."""
    number, name = 1, path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name
