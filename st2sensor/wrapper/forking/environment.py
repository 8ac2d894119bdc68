"""Turns a forked process into the sensor's own interpreter: limits, user, virtualenv."""

from __future__ import annotations

import os
import resource
import site
import sys
from importlib.machinery import PathFinder
from typing import Any, Callable, Dict, Iterable, List, Tuple


def limit(limits: Dict[str, Any]) -> None:
    """Apply the limits that the container asks for.

    `cgroup` is a folder, `open_files` is `[soft, hard]`, `user` is `[uid, gid, groups]`, `nice` and `processes` are
    numbers.

    Raises OSError and ValueError, which name the limit.
    """
    steps: Dict[str, Callable[[Any], Any]] = {
        "cgroup": _join,
        "open_files": _limit_files,
        "processes": _limit_processes,
        "nice": os.nice,
        "user": _become,
    }
    for name, step in steps.items():
        value = limits.get(name)
        if value is not None:
            try:
                step(value)
            except (OSError, ValueError) as error:
                raise type(error)(f"{name} = {value}: {error}") from error


def _join(cgroup: str) -> None:
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as file:
        file.write("0")


def _limit_files(wanted: List[int]) -> None:
    soft, hard = wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _limit_processes(wanted: int) -> None:
    """Limit the processes and threads of the user. The kernel does not limit root."""
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))


def _become(user: Tuple[int, int, List[int]]) -> None:
    uid, gid, groups = user
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)


def activate(interpreter: str) -> None:
    """Become `interpreter`: take its virtualenv's prefix, packages and .pth files, as a new process would.

    Call this in a process that has no environment's packages on its path yet.
    """
    sys.executable = interpreter
    sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix
    # sysconfig remembers the prefixes of the process that imported it.
    sys.modules.pop("sysconfig", None)
    # The steps of site.main() that have not been done yet.
    site.PREFIXES[:] = [sys.prefix, sys.exec_prefix]
    site.ENABLE_USER_SITE = None
    known: Any = site.venv(site.removeduppaths())
    if site.ENABLE_USER_SITE is None:
        site.ENABLE_USER_SITE = site.check_enableusersite()
    site.addsitepackages(site.addusersitepackages(known))
    if "sitecustomize" not in sys.modules:
        site.execsitecustomize()


def list_folders(folders: Iterable[str]) -> None:
    """Make the import system list these folders. It lists a folder again when it changes."""
    for folder in folders:
        PathFinder.find_spec("a name that no module has", [folder])
