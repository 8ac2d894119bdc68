"""The launcher of `st2sensor run`: the sensor gets the terminal, and the container takes it back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from st2sensor.container.launch import foreground
from st2sensor.container.launch.foreground import Foreground
from st2sensor.container.launch.spec import WRAPPER, Inherited, LaunchSpec
from st2sensor.sharing.clocks import Moment

INHERITED = Inherited(umask=0o022, open_files=(1024, 1024), private=("SECRET_*",))


class Started:
    """A process that is not there, with this one's id."""

    def __init__(self, words: list[Any], **options: Any) -> None:
        self.words = words
        self.options = options
        self.pid = os.getpid()
        self.returncode: int | None = None
        self.stop = signal.getsignal(signal.SIGTSTP)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    made: list[Started] = []

    def start(words: list[Any], **options: Any) -> Started:
        made.append(Started(words, **options))
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process groups that get the terminal, which this process's group has first."""
    groups: list[int] = []
    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    monkeypatch.setattr(os, "tcsetpgrp", lambda _, group: groups.append(group))
    return groups


def start(launcher: Foreground) -> None:
    launch = LaunchSpec(
        ref="p.S",
        interpreter=Path("/venv/python"),
        socket=Path("/s"),
        token="token",
        eventlet=None,
        cgroup=None,
        limits={},
        variables={"ONE": "1"},
    )
    handle = asyncio.run(launcher.start(launch))
    assert handle.pid == os.getpid()
    assert os.read(handle.output, 1) == b""
    os.close(handle.output)
    os.close(handle.pidfd)


def test_the_wrapper_runs_in_a_group_of_its_own_with_the_sensors_variables(
    processes: list[Started], terminal: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_WORD", "x")
    monkeypatch.setenv("PLAIN_WORD", "y")
    before = signal.getsignal(signal.SIGTSTP)
    start(Foreground(INHERITED))
    (process,) = processes
    assert process.words == [Path("/venv/python"), WRAPPER, "p.S"]
    assert process.options["process_group"] == 0
    assert process.options["env"]["ONE"] == "1"
    assert process.options["env"]["PLAIN_WORD"] == "y"
    assert "SECRET_WORD" not in process.options["env"]
    # Popen must not wait for it, and Ctrl-Z must not stop it alone.
    assert process.returncode == 0
    assert process.stop is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTSTP) is before
    assert terminal == [os.getpid()]


def test_the_terminal_is_taken_back_when_the_sensor_has_ended(processes: list[Started], terminal: list[int]) -> None:  # noqa: ARG001
    launcher = Foreground(INHERITED)
    launcher.forget(1)
    assert terminal == []
    start(launcher)
    launcher.forget(os.getpid())
    assert terminal == [os.getpid(), os.getpgrp()]


@pytest.mark.parametrize("in_background", [False, True])
def test_without_a_terminal_of_its_own_the_container_gives_none(
    processes: list[Started],  # noqa: ARG001
    terminal: list[int],
    monkeypatch: pytest.MonkeyPatch,
    in_background: bool,
) -> None:
    if in_background:
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    else:
        monkeypatch.setattr(os, "isatty", lambda _: False)
    launcher = Foreground(INHERITED)
    start(launcher)
    launcher.forget(os.getpid())
    assert terminal == []


def test_a_terminal_that_was_closed_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> None:
        raise OSError("no terminal")

    monkeypatch.setattr(os, "tcsetpgrp", fail)
    before = signal.getsignal(signal.SIGTTOU)
    foreground._hand_terminal(1)
    assert signal.getsignal(signal.SIGTTOU) is before


def test_a_sensor_in_the_foreground_has_neither_lease_nor_zygote(terminal: list[int]) -> None:
    launcher = Foreground(INHERITED)
    launcher.limit(Moment(0, 0))
    launcher.close()
    assert terminal == []
