"""StackStorm's name for running commands."""

import shlex
import subprocess

from st2sensor.portable.shell import run_command

__all__ = ["quote_unix", "quote_windows", "run_command"]


def quote_unix(value: str) -> str:
    """A text as one word of a POSIX shell."""
    return shlex.quote(value)


def quote_windows(value: str) -> str:
    """A text as one argument of a program on Windows."""
    return subprocess.list2cmdline([value])
