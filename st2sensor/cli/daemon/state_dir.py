"""The lock of a state directory: only one container at a time may use it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from st2sensor.errors import StateDirectoryBusy
from st2sensor.system.ownership import hand_over, hand_over_content

LOCK = "lock"

LOCK_TIMEOUT, LOCK_RETRY = 0.5, 0.01
"""Seconds to wait for the lock, and between two attempts."""


@contextmanager
def held(state_dir: Path) -> Iterator[None]:
    """Lock the state directory. Raises StateDirectoryBusy.

    If the directory belongs to another user, files that root creates in it are given to that user, so that the user's
    container can be started afterwards.
    """
    try:
        if not state_dir.exists():
            state_dir.mkdir(parents=True, exist_ok=True)
            hand_over(state_dir)
        lock = (state_dir / LOCK).open("a+")
    except OSError as exception:
        raise StateDirectoryBusy(
            f"[sensorcontainer] state_dir: cannot use {state_dir}: {exception}; make it writable or name another"
        ) from exception
    with lock:
        until = time.monotonic() + LOCK_TIMEOUT
        while not (taken := _take(lock, fcntl.LOCK_EX)) and time.monotonic() < until:
            # A process that checks whether the lock is held takes it for a moment.
            time.sleep(LOCK_RETRY)
        if not taken:
            raise StateDirectoryBusy(
                f"[sensorcontainer] state_dir: {state_dir} is in use by process {_number_in(lock) or '?'}; stop "
                "that container, or give this one a state_dir of its own"
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            hand_over_content(state_dir)


def holder(state_dir: Path) -> int | None:
    """Return the process that holds the state directory, or None. Raises StateDirectoryBusy if it cannot be read."""
    try:
        with (state_dir / LOCK).open() as lock:
            return None if _take(lock, fcntl.LOCK_SH) else _number_in(lock)
    except FileNotFoundError:
        return None
    except OSError as exception:
        raise StateDirectoryBusy(
            f"[sensorcontainer] state_dir: cannot look into {state_dir}: {exception}; run this as the container's user"
        ) from exception


def _take(lock: TextIO, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number_in(lock: TextIO) -> int | None:
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdigit() else None
