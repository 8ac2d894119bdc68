"""StackStorm's name for running commands."""

import shlex
import subprocess

from st2sensor.portable.shell import run_command

__all__ = ["quote_unix", "quote_windows", "run_command"]


def quote_unix(value: str) -> str:
    """Return a text quoted as one word for a POSIX shell."""
    return shlex.quote(value)


def quote_windows(value: str) -> str:
    """Return a text quoted as one argument of a program on Windows."""
    return subprocess.list2cmdline([value])
