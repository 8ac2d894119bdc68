"""A container that is the child process of a command, and ends with it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PR_SET_PDEATHSIG = 1


def start(config_files: Sequence[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a container in a session of its own: Ctrl-C reaches only this process, which passes on a single stop.

    Call this in the main thread: the container stops when that thread ends for any reason.

    :param output: a file or descriptor for the output of the container.
    """
    command = [sys.executable, "-P", "-m", "st2sensor.cli", "st2sensorcontainer"]
    for path in config_files:
        command += ["--config-file", path]
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads. This fork is safe: the child takes no lock before exec.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_stopped_with_parent(),
        )


@contextmanager
def stopping(container: subprocess.Popen[bytes]) -> Iterator[Callable[[], int]]:
    """Pass a stop on to the container, once. Closing the terminal counts as a stop as well.

    Yields a function that returns the exit code afterwards. A container stopped before it installs its signal handlers
    dies of the signal; that is not a failure.
    """
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for handled in STOPS:
            signal.signal(handled, signal.SIG_IGN)
        stopped.set()
        container.terminate()

    def code() -> int:
        return 0 if stopped.is_set() and container.returncode == -signal.SIGTERM else container.returncode

    previous = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield code
    finally:
        if container.poll() is None:
            container.terminate()
            container.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stopped_with_parent() -> Callable[[], None]:
    """Return a function for the child to run before it becomes the container."""
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)

    return arm
