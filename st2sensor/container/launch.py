"""Starts wrappers. The seam between the supervisor and how a process comes to be."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import st2sensor

WRAPPER = Path(st2sensor.__file__).parent / "wrapper" / "__main__.py"

PRIVATE = ("NOTIFY_SOCKET", "ST2_")
"""Starts of the names of variables that are the container's own business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a wrapper is started with.

    :param socket: the container's socket for wrappers.
    :param token: what the wrapper identifies itself with.
    """

    ref: str
    interpreter: Path
    socket: Path
    token: str


class Process:
    """A running wrapper, and leader of its process group."""

    def __init__(self, pid: int, command: str, output: int) -> None:
        self.pid = pid
        self.command = command
        self.pidfd = os.pidfd_open(pid)
        self.output = output
        """Read end of the pipe behind its stdout and stderr, non-blocking."""

    def terminate(self) -> None:
        """Ask it to stop."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        # A sensor may have gone to another group, and left its own empty.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> int:
        """Collect the exit code of a process that has ended, negative for a signal; what it left behind is killed."""
        # The group goes before its leader is reaped: until then its number cannot belong to anybody else.
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        self.kill()
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        assert info is not None
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


class Launcher(Protocol):
    def start(self, launch: Launch) -> Process:
        """Start a wrapper. Raises OSError when that cannot be done."""


class ExecLauncher:
    """Executes an interpreter per sensor; for the main thread, because PDEATHSIG goes by threads.

    :param umask: of the sensors: the one that the container was started with, not its own.
    """

    def __init__(self, umask: int) -> None:
        self._umask = umask

    def start(self, launch: Launch) -> Process:
        command = [str(launch.interpreter), str(WRAPPER), launch.ref]
        ours, theirs = os.pipe()
        try:
            os.set_blocking(ours, False)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=environment(os.environ, launch),
                process_group=0,
                umask=self._umask,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        # The pidfd reaps it: Popen must not.
        process.returncode = 0
        return Process(process.pid, " ".join(command), ours)


def environment(inherited: Mapping[str, str], launch: Launch) -> dict[str, str]:
    """A wrapper's environment: the container's, less its own configuration, with the pack's interpreter in front."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(PRIVATE)}
    path = os.pathsep.join([str(launch.interpreter.parent), kept.get("PATH", os.defpath)])
    return kept | {
        "PATH": path,
        "ST2SENSOR_SOCKET": str(launch.socket),
        "ST2SENSOR_TOKEN": launch.token,
        "ST2SENSOR_CONTAINER": str(os.getpid()),
    }
