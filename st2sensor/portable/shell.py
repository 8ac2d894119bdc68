"""Runs commands for a pack's code, as StackStorm's helpers do. Standard library only, CPython 3.9."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

TIMED_OUT = -9
"""The exit code of a command that took too long."""


class Finished(NamedTuple):
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool


def run_command(
    cmd: Union[str, Sequence[str]],
    stdin: Any = None,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    shell: bool = False,
    cwd: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
) -> Tuple[int, str, str]:
    """Run a command without a time limit, and return `(exit_code, stdout, stderr)`.

    :param env: the environment; None or an empty one means that of this process.

    Raises TypeError for a command of another type, and OSError when it cannot be started.
    """
    if not isinstance(cmd, (str, list, tuple)):
        raise TypeError(f"a command must be a string, a list or a tuple, not a {type(cmd).__name__}")
    # The command stays in the sensor's process group, which ends with the sensor.
    with subprocess.Popen(
        cmd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        shell=shell,
        cwd=cwd,
        env=env or None,
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            process.kill()
            raise
    return process.returncode, _text(out), _text(err)


def run_command_in_time(
    cmd: Union[str, Sequence[str]],
    stdin: Any = None,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    shell: bool = False,
    cwd: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
    timeout: float = 60,
    preexec_func: Optional[Callable[[], Any]] = None,
    stdin_value: Optional[str] = None,
    **_: Any,
) -> Finished:
    """Run a command, and return `(exit_code, stdout, stderr, timed_out)`.

    :param timeout: seconds after which the command and its descendants are killed.
    :param env: the environment; None means that of this process.
    :param stdin_value: the text for the command's standard input.

    Raises OSError when it cannot be started. StackStorm's further arguments, for its own ways to kill and to read, are
    accepted and ignored.
    """
    process = subprocess.Popen(
        cmd,
        stdin=stdin if stdin_value is None else subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        shell=shell,
        cwd=cwd,
        env=env,
        preexec_fn=preexec_func,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    timed_out = False
    try:
        out, err = process.communicate(stdin_value, timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    return Finished(TIMED_OUT if timed_out else process.returncode, out or "", err or "", timed_out)


def _text(output: Optional[bytes]) -> str:
    """Return a command's output as text; empty if it was not captured."""
    return (output or b"").decode("utf-8", "replace")
