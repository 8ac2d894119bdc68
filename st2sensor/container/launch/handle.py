"""A wrapper's process, as its container holds it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from st2sensor.portable import rpc


class Handle:
    """A running wrapper, and leader of its process group.

    :param pidfd: handle of the process; closed by this object.
    :param output: read end of the pipe behind its stdout and stderr, non-blocking.
    """

    def __init__(self, pid: int, pidfd: int, output: int, command: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.output = output
        self.command = command

    def terminate(self) -> None:
        """Ask it to stop."""
        self._wake()
        self._signal(signal.SIGTERM)

    def insist(self) -> None:
        """Ask again, also one that ignores SIGTERM or handles it in its own way."""
        self._wake()
        self._signal(signal.SIGTERM)
        self._signal(rpc.STOP_SIGNAL)

    def dump_stacks(self) -> None:
        """Have it print the stack of every thread, whatever it is doing."""
        self._wake()
        self._signal(rpc.STACKS_SIGNAL)

    def kill(self) -> None:
        """End it and all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # A sensor may have gone to another group, and left its own empty.
        self._signal(signal.SIGKILL)

    def reap(self) -> int:
        """Collect the exit code of a process that has ended, negative for a signal; what it left behind is killed."""
        # The group goes before its leader is reaped: until then its number cannot belong to anybody else.
        try:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
            self.kill()
            info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:
            # Killed before it became a child of this process.
            info = None
        os.close(self.pidfd)
        if info is None:
            return -signal.SIGKILL
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _wake(self) -> None:
        """Continue the whole group: a process that SIGSTOP has stopped takes no other signal but SIGKILL."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGCONT)
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # One that became another user is out of reach of a container that is not root.
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.pidfd, number)
