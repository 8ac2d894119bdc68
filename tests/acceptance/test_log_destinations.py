"""The container goes on, answers and ends while a destination of its log accepts nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.patience import FACTOR, SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, environment

ENDING = 15 * FACTOR
"""Seconds within which the container ends."""

TALKS = """
class Talks(PollingSensor):
    def poll(self):
        self.sensor_service.get_logger("x").warning("a line " + 100 * "x")
        self.sensor_service.dispatch("s.up", {})
"""

LOGGING = """
[loggers]
keys = root
[handlers]
keys = console, file
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console, file
[handler_console]
class = StreamHandler
formatter = plain
args = (sys.stderr,)
[handler_file]
class = FileHandler
formatter = plain
args = ("container.log",)
[formatter_plain]
format = %(message)s
"""


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that has no room: the end to read, and the end to write."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@contextlib.contextmanager
def started(workspace: Workspace, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the container in an interpreter of its own, because the way in which that ends counts here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "st2sensor.cli", "st2sensorcontainer", "--config-file", str(workspace.config)],
        cwd=workspace.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(SOON)


def assert_it_works_and_ends(workspace: Workspace, process: subprocess.Popen[bytes]) -> None:
    listener = workspace.listen()
    count = len(listener.wait_for("s.up", 5))
    listed = workspace.run("st2sensor", "--config-file", str(workspace.config), "list")
    assert "running" in listed.stdout
    listener.wait_for("s.up", count + 5)
    process.terminate()
    asked = time.monotonic()
    assert process.wait(SOON) == 0
    assert time.monotonic() - asked < ENDING


@pytest.fixture
def talking(embedded: Workspace) -> Workspace:
    embedded.add_sensor("s", "Talks", TALKS, poll_interval=0.05, trigger_types=[{"name": "up"}])
    embedded.reload_well()
    return embedded


def test_a_container_whose_stderr_accepts_nothing_works_and_ends(
    talking: Workspace, full_pipe: tuple[int, int]
) -> None:
    with started(talking, full_pipe[1]) as process:
        assert_it_works_and_ends(talking, process)


@pytest.mark.soak
def test_another_destination_gets_the_whole_log_meanwhile(talking: Workspace, full_pipe: tuple[int, int]) -> None:
    (talking.folder / "logging.conf").write_text(LOGGING)
    talking.configure("logging = logging.conf")
    with started(talking, full_pipe[1]) as process:
        assert_it_works_and_ends(talking, process)
    log = Path(talking.folder / "container.log").read_text()
    assert "configured by " in "".join(log.splitlines(keepends=True)[:2])
    assert log.endswith("stopped\n")
    assert log.count("a line xxx") >= 10


@pytest.mark.soak
def test_a_destination_that_accepts_again_gets_what_has_waited(talking: Workspace, full_pipe: tuple[int, int]) -> None:
    reading, writing = full_pipe
    with started(talking, writing) as process:
        talking.listen().wait_for("s.up", 5)
        text = b""

        def waited() -> bool:
            nonlocal text
            text += os.read(reading, 65536).lstrip(b"x")
            return text.count(b"a line xxx") >= 5

        eventually("the lines that have waited", waited)
        assert text.count(b"configured by ") == 1
        process.terminate()
        assert process.wait(SOON) == 0
