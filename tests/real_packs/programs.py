"""Servers that are other programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.real_packs.stage import NotHere
from tests.support.servers.waiting import eventually

SBIN = "/usr/sbin"
"""Folder of Debian's servers, which only root has on its search path."""


def find(program: str) -> str:
    """Return the program's file. Raises NotHere."""
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), SBIN]))
    if found is None:
        raise NotHere(f"{program} is not installed")
    return found


@contextlib.contextmanager
def serving(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """Run a server until the end of the block, which begins when the server listens.

    :param folder: for the server's output.
    """
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        try:
            eventually(f"{command[0]} listens", lambda: listens(port))
            yield
        finally:
            process.terminate()
            process.wait(10)


def listens(port: int) -> bool:
    """Return whether something listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
