"""Reads files that others write: nothing but regular files, and never more than a given number of bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

NOT_REGULAR = "it is not a regular file"


def read(path: Path, most: int) -> bytes:
    """Return the content of a file. Raises OSError, also for a pipe or a device, and for more than `most` bytes.

    :param most: maximum number of bytes.
    """
    # Opening a device may do something, and opening a pipe would wait for its writer.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(NOT_REGULAR)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # It may have been replaced since.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(NOT_REGULAR)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise OSError(f"it has more than {most:,} bytes")
    return data


def is_there(path: Path) -> bool:
    """Return whether something has this name, even a link that leads nowhere or a file in a forbidden folder.

    Reading it then tells what is wrong with it.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def reason(error: OSError) -> str:
    """Return why a file cannot be read, without its path."""
    return error.strerror or str(error)
