"""A server's process group, which processes other than the one that started it can also end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually

NOTHING = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_DUP2, 1, 2),
]
"""Standard streams of a server, all of them empty: it writes a log of its own."""


class Server:
    """A process in a session of its own. The object can be pickled."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], folder: Path) -> None:
        command = ["env", "-C", str(folder), *command]
        self.pid = os.posix_spawnp(command[0], command, env, file_actions=NOTHING, setsid=True)

    def end(self, number: signal.Signals) -> None:
        """Send the group a signal, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        eventually(f"process {self.pid} ends", lambda: not alive(self.pid), LATER)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def alive(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def rest(process: psutil.Process) -> None:
    """Wait until a process is asleep in five checks in a row; a process in a busy loop never is."""
    asleep = 0

    def look() -> bool:
        nonlocal asleep
        asleep = asleep + 1 if process.status() == psutil.STATUS_SLEEPING else 0
        return asleep == 5

    eventually("it sleeps in each of five checks", look)
