"""The container's handle for a wrapper's process."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from st2sensor.portable import rpc


class Handle:
    """A running wrapper, which is the leader of its process group.

    :param pidfd: file descriptor of the process; closed by this object.
    :param output: read end of the pipe behind its stdout and stderr, non-blocking.
    """

    def __init__(self, pid: int, pidfd: int, output: int, command: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.output = output
        self.command = command

    def terminate(self) -> None:
        """Ask the wrapper to stop."""
        self._wake()
        self._signal(signal.SIGTERM)

    def insist(self) -> None:
        """Ask the wrapper again, with a second signal for sensors that ignore SIGTERM or handle it themselves."""
        self._wake()
        self._signal(signal.SIGTERM)
        self._signal(rpc.STOP_SIGNAL)

    def dump_stacks(self) -> None:
        """Make the wrapper print the stack of every thread, no matter what it is doing."""
        self._wake()
        self._signal(rpc.STACKS_SIGNAL)

    def kill(self) -> None:
        """Kill the wrapper and everything in its process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # A sensor may have moved to another group, leaving its own empty.
        self._signal(signal.SIGKILL)

    def reap(self) -> int:
        """Wait for the process to end, kill its remaining group, and return its exit code, negative for a signal."""
        # The group is killed before its leader is reaped: until then no other process group can get its number.
        try:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
            self.kill()
            info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:
            # The process was killed before it became a child of this one.
            info = None
        os.close(self.pidfd)
        if info is None:
            return -signal.SIGKILL
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _wake(self) -> None:
        """Continue the whole group: a process stopped by SIGSTOP handles no signal but SIGKILL."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGCONT)
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # A container that is not root cannot signal a process that has become another user.
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.pidfd, number)
