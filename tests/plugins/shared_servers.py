"""One RabbitMQ and one MongoDB for all workers of a run. The first worker that needs one starts it; the run stops it.

Tests share them: each workspace has a database and exchanges of its own. A test that stops a server starts its own.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.plugins import failures

VARIABLE = "ST2SENSOR_TEST_SERVERS"
"""The variable that tells workers the folder."""

MEMORY = Path("/dev/shm")

ROOM = 2 * 2**30
"""Free memory in bytes that is needed to keep the servers' files in memory, where writing them costs nothing."""


class Server(failures.Witness, Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


@contextmanager
def kept() -> Iterator[None]:
    """Stop all shared servers at the end, if this process is the first of the run."""
    if VARIABLE in os.environ:
        yield
        return
    parent = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM else None
    with tempfile.TemporaryDirectory(prefix="st2sensor-servers-", dir=parent, ignore_cleanup_errors=True) as name:
        os.environ[VARIABLE] = name
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            for file in Path(name).glob("*.server"):
                pickle.loads(file.read_bytes()).stop()


def shared(name: str, make: Callable[[Path], S]) -> S:
    """Return the server of that name; start it if no worker has started it yet.

    :param make: makes one in a folder.
    """
    folder = Path(os.environ[VARIABLE])
    file = folder / f"{name}.server"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            found: S = pickle.loads(file.read_bytes())
            failures.remember(found)
            return found
        place = folder / name
        place.mkdir(exist_ok=True)
        server = make(place)
        server.start()
        file.write_bytes(pickle.dumps(server))
        return server
