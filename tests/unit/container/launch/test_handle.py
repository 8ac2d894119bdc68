"""Signals to a real process, and to the processes that it has started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from st2sensor.container.launch.handle import Handle
from tests.plugins.patience import SOON

SLEEPER = "import sys, time; print('ready', flush=True); time.sleep(1000)"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", SLEEPER], stdout=subprocess.PIPE, process_group=0) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        try:
            yield started
        finally:
            started.kill()


def handle_of(process: subprocess.Popen[bytes]) -> Handle:
    return Handle(process.pid, os.pidfd_open(process.pid), -1, "python sleeper")


def test_a_process_that_was_stopped_is_continued_to_take_sigterm(process: subprocess.Popen[bytes]) -> None:
    handle = handle_of(process)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    handle.terminate()
    assert handle.reap() == -signal.SIGTERM
    process.returncode = 0


def test_the_exit_code_is_collected_and_signals_to_a_process_that_is_gone_do_nothing() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(7)"], process_group=0) as started:
        handle = handle_of(started)
        spare = os.dup(handle.pidfd)
        assert handle.reap() == 7
        handle.pidfd = spare
        handle.terminate()
        handle.kill()
        os.close(spare)
        started.returncode = 7


def test_what_a_process_has_started_is_killed_when_it_is_collected() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '1000'])"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, process_group=0) as started:
        assert started.stdout is not None
        assert handle_of(started).reap() == 0
        # The pipe ends with the last process that holds it.
        assert select.select([started.stdout], [], [], SOON)[0]
        assert started.stdout.read() == b""
        started.returncode = 0
