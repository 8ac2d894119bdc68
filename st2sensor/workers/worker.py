"""Starts, uses and ends one worker process. In the parent process."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from st2sensor.errors import WorkExceeded, WorkFailed
from st2sensor.workers.frames import TooLong, receive, send
from st2sensor.workers.limits import Limits

FOLDER = Path(__file__).parent

START_TIMEOUT = 30.0
"""Seconds within which a process must start, and import a function's module."""

END_TIMEOUT = 5.0
"""Seconds to wait for the end of a killed process. The kernel frees its memory first."""

SIZES = {"memory": "memory", "request": "arguments", "answer": "result"}
"""Names of the limits besides time, for people."""


class Worker:
    """A worker process. For one thread at a time. Raises WorkFailed when no process can be started.

    :param functions: functions by name, as `package.module:function`.
    """

    def __init__(self, functions: Mapping[str, str], limits: Limits) -> None:
        self._limits = limits
        self._line, theirs = socket.socketpair()
        self._handle = -1
        life, self._life = os.pipe()
        descriptors = {"line": theirs.fileno(), "life": life}
        settings = {"functions": dict(functions), **asdict(limits), **descriptors}
        path = [os.path.abspath(folder) for folder in sys.path if folder]
        try:
            self._process = subprocess.Popen(
                # -S: no .pth files, whose code would run here. Their folders are on the path already.
                [sys.executable, "-I", "-S", "-B", "-X", "utf8", FOLDER, json.dumps(path), json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                pass_fds=tuple(descriptors.values()),
                process_group=0,
            )
            # The container reaps every child that ends; after that the pid may belong to another process.
            self._handle = os.pidfd_open(self._process.pid)
        except OSError as error:
            self._line.close()
            # This ends the process if it was started.
            os.close(self._life)
            raise WorkFailed(f"no worker process can be started: {error}") from error
        finally:
            theirs.close()
            os.close(life)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process can do another task."""
        return self._handle >= 0 and not self._has_ended(0)

    def call(self, name: str, arguments: bytes, timeout: float) -> Any:
        """Call a function in the process, and return its result. An exceeded limit ends the process.

        :param arguments: a JSON array.
        :param timeout: seconds that the call may take, not counting the start of the process and its imports.

        Raises WorkExceeded and WorkFailed.
        """
        try:
            answer = self._exchange(name, arguments, timeout)
        except BaseException:
            self.kill()
            raise
        if "value" in answer:
            return answer["value"]
        if "exceeded" in answer:
            self.kill()
            raise self._exceeded(name, answer["exceeded"])
        raise WorkFailed(f"{name} failed in its worker process: {answer['failed']}")

    def interrupt(self) -> None:
        """End the process from another thread. The thread that waits for its result gets WorkFailed."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def kill(self) -> None:
        """End the process, no matter what it is doing. A second call does nothing."""
        if self._handle < 0:
            return
        self.interrupt()
        # If the kernel takes longer to end the process, it is reaped when the next worker process starts.
        if self._has_ended(END_TIMEOUT):
            self._process.wait()
        self._line.close()
        os.close(self._life)
        os.close(self._handle)
        self._handle = -1

    def _exchange(self, name: str, arguments: bytes, timeout: float) -> dict[str, Any]:
        began = time.monotonic()
        try:
            send(self._line, name.encode(), began + START_TIMEOUT)
            answer = self._receive(began + START_TIMEOUT)
            if answer:
                return answer
        except (TimeoutError, ConnectionError) as error:
            raise WorkFailed(
                f"{name}: its worker process {self._end() or f'did not start within {START_TIMEOUT:g} s'}"
            ) from error
        until = time.monotonic() + timeout
        try:
            send(self._line, arguments, until)
            return self._receive(until)
        except TimeoutError:
            raise WorkExceeded(f"{name} took more than {timeout:g} s", what="time") from None
        except TooLong:
            raise self._exceeded(name, "answer") from None
        except ConnectionError:
            raise WorkFailed(f"{name}: its worker process {self._end() or 'went away'}") from None

    def _receive(self, until: float) -> dict[str, Any]:
        received = receive(self._line, self._limits.answer + 100, until)
        if received is None:
            raise ConnectionResetError
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _end(self) -> str:
        """Return how the process has ended; empty if it has not."""
        if not self._has_ended(END_TIMEOUT):
            return ""
        code = self._process.wait()
        # There is no exit code when the container has reaped the process.
        return f"ended by {signal.Signals(-code).name}" if code < 0 else "ended"

    def _has_ended(self, within: float) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within * 1000))

    def _exceeded(self, name: str, what: str) -> WorkExceeded:
        most: int = getattr(self._limits, what)
        return WorkExceeded(f"{name} exceeded the limit of {most:,} bytes of {SIZES[what]}", what=what)
