"""Distinguishes SQLite's errors: a disk that may recover, a damaged file, or a bad entry."""

from __future__ import annotations

import sqlite3

from st2sensor.errors import OutboxDamaged, OutboxError

HEALS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOLFS,
}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def heals(exception: Exception) -> bool:
    """Return whether the same operation may succeed later, because the disk has failed."""
    if isinstance(exception, OutboxError):
        return not isinstance(exception, OutboxDamaged)
    return isinstance(exception, OSError) or _code(exception) in HEALS


def is_of_file(exception: Exception) -> bool:
    """Return whether the file itself is broken or was changed; otherwise the entry is bad."""
    if isinstance(exception, OutboxDamaged) or _code(exception) in DAMAGED:
        return True
    return isinstance(exception, sqlite3.OperationalError) and not heals(exception)


def is_full(exception: Exception) -> bool:
    """Return whether the disk may be full. SQLite reports some of these errors as I/O errors."""
    return isinstance(exception, OSError) or _code(exception) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _code(exception: Exception) -> int | None:
    code = getattr(exception, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
