"""Makes a forked process what an interpreter would be that was started for the sensor: limits, user, virtualenv."""

from __future__ import annotations

import importlib
import os
import resource
import signal
import site
import sys
from typing import Any, Callable, Dict, List, Tuple


def restore_signals() -> None:
    """Undo what the zygote ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def limit(limits: Dict[str, Any]) -> None:
    """Take on what the container asks for: `open_files` as `[soft, hard]`, `nice`, `user` as `[uid, gid, groups]`.

    Raises OSError and ValueError, which name the limit.
    """
    steps: Dict[str, Callable[[Any], Any]] = {"open_files": _limit_files, "nice": os.nice, "user": _become}
    for name, step in steps.items():
        value = limits.get(name)
        if value is not None:
            try:
                step(value)
            except (OSError, ValueError) as error:
                raise type(error)(f"{name} = {value}: {error}") from error


def _limit_files(wanted: List[int]) -> None:
    soft, hard = wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _become(user: Tuple[int, int, List[int]]) -> None:
    uid, gid, groups = user
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)


def activate(interpreter: str) -> None:
    """Be `interpreter`: its virtualenv's prefix, packages and .pth files, as at the start of a process.

    For a process in which no packages of any environment are on the path yet.
    """
    sys.executable = interpreter
    sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix
    # It remembers the prefixes of the process that it was imported in.
    sys.modules.pop("sysconfig", None)
    importlib.reload(site)
