"""Runs programs as forks of a process that has already imported them: a start costs milliseconds.

Such a process has a single thread. It is started with a file descriptor as its last argument, that of a socket. An
order arrives as one message on the socket: JSON, with four file descriptors for stdin, stdout, stderr and the status.
The status socket reports the fork's pid, and later its exit code. When the other end closes, every fork is killed.

Only the standard library is imported here: what the forks import must not be there beforehand.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LARGEST = 200_000
"""Maximum size of an order, in bytes."""


class Process:
    """A running program, with the interface of subprocess.Popen."""

    def __init__(self, args: Sequence[str], status: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        self._status = status.makefile("r")
        self._status_socket = status
        self.pid = int(self._status.readline())

    def __del__(self) -> None:
        # The test did not wait for the command.
        self._status.close()
        self._status_socket.close()

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._has_told(timeout):
            line = self._status.readline()
            self._status.close()
            self._status_socket.close()
            assert line, "the process that forks commands has died"
            self.returncode = int(line)
        return self.returncode

    def _has_told(self, timeout: float | None) -> bool:
        # select() takes no file descriptors above 1023, and some tests have more.
        poll = select.poll()
        poll.register(self._status_socket, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))


class Forks:
    """The client of the process that forks; any thread may use it, and any fork of this process.

    :param command: the process, without its last argument.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(
        self,
        args: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        start_new_session: bool = False,
    ) -> Process:
        """Start a program.

        :param args: its arguments; :param stdin: a file descriptor, or None for an empty input.
        """
        order = {"args": list(args), "cwd": str(cwd), "env": dict(env), "new_session": start_new_session}
        ours, theirs = socket.socketpair()
        with theirs, open(os.devnull) as nothing, self._lock:
            files = [nothing.fileno() if stdin is None else stdin, stdout, stderr, theirs.fileno()]
            socket.send_fds(self._orders, [json.dumps(order).encode()], files)
        return Process(args, ours)

    def close(self) -> None:
        # Forks of this process may still have the socket.
        self._orders.shutdown(socket.SHUT_RDWR)
        self._orders.close()
        self._process.wait()


def serve(orders: socket.socket) -> Mapping[str, Any]:
    """Fork for each order. Returns only in the forks, with their order."""
    forks: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not orders:
                    selector.unregister(key.fileobj)
                    _tell_end(key.fd, *forks.pop(key.fd))
                    continue
                message, files, _, _ = socket.recv_fds(orders, LARGEST, 4)
                if not message:
                    for pid, _ in forks.values():
                        os.kill(pid, signal.SIGKILL)
                    orders.close()
                    sys.exit()
                pid = os.fork()
                if not pid:
                    orders.close()
                    for pidfd, (_, status) in forks.items():
                        os.close(pidfd)
                        status.close()
                    for number, file in enumerate(files[:3]):
                        os.dup2(file, number)
                    for file in files:
                        os.close(file)
                    order: dict[str, Any] = json.loads(message)
                    return order
                for file in files[:3]:
                    os.close(file)
                status = socket.socket(fileno=files[3])
                status.sendall(f"{pid}\n".encode())
                pidfd = os.pidfd_open(pid)
                forks[pidfd] = pid, status
                selector.register(pidfd, selectors.EVENT_READ)


def _tell_end(pidfd: int, pid: int, status: socket.socket) -> None:
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with status:
        try:
            status.sendall(f"{code}\n".encode())
        except OSError:
            # The test did not wait for the command.
            return


def become(order: Mapping[str, Any]) -> None:
    """Turn the fork into the process that the program would have been."""
    if order["new_session"]:
        os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    warnings.resetwarnings()
    for kind in filter(None, order["env"].get("PYTHONWARNINGS", "").split(",")):
        warnings.simplefilter(kind)
    sys.argv = list(order["args"])
    time.tzset()
    # The parent's own streams may be of another kind: a file has a position, a pipe has none.
    sys.stdin = os.fdopen(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)
    buffering = 1 if os.isatty(1) else -1
    sys.stdout = os.fdopen(1, "w", buffering, encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
