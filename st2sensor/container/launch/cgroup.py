"""Control groups (version 2): each sensor gets one if a group is delegated to the container.

A sensor's group holds all of its descendants, even those that have left its process group. So no process survives a
stop, and the kernel itself enforces a memory limit. systemd delegates a group with `Delegate=yes`. Needs Linux 5.14.
"""

from __future__ import annotations

import logging
import os
import time
from asyncio import AbstractEventLoop
from contextlib import suppress
from pathlib import Path

from st2sensor.models import Overrides

LOG = logging.getLogger("st2sensor.supervision")

DELEGATE = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd gives delegated groups. They are checked for root, which may write to any group."""

CONTAINER, SENSOR = "container", "sensor-"
"""Names of groups: the container's own group, because a group that holds processes cannot limit its children; and the
beginning of the names of sensors' groups."""

REMOVE_RETRY, TRIES = 0.05, 100
"""Seconds between attempts to remove a group whose processes are still ending, and the number of attempts."""


class Cgroup:
    """The control group of one sensor.

    :ivar limits_memory: whether the kernel enforces the sensor's limit.
    """

    def __init__(self, path: Path, memory: int | None, processes: int | None) -> None:
        self.path = path
        path.mkdir()
        if processes is not None:
            _write(path / "pids.max", str(processes))
        self.limits_memory = memory is not None and _write(path / "memory.max", str(memory))
        if self.limits_memory:
            _write(path / "memory.swap.max", "0")
            # The kernel then kills the whole sensor, and not only one process of its choice.
            _write(path / "memory.oom.group", "1")

    @property
    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed the sensor for exceeding its memory limit."""
        if not self.limits_memory:
            return False
        try:
            events = dict(line.split() for line in (self.path / "memory.events").read_text().splitlines())
        except OSError:
            return False
        return int(events.get("oom_kill", 0)) > 0

    def remove(self, loop: AbstractEventLoop, tries: int = TRIES) -> None:
        """Kill the remaining processes of the group, and remove it, now or a little later."""
        if not _removed(self.path):
            if tries:
                loop.call_later(REMOVE_RETRY, self.remove, loop, tries - 1)
            else:
                LOG.warning("cannot remove control group %s", self.path)


class Cgroups:
    """The delegated group. Moves this process into a child group, next to the groups of its sensors.

    :param home: the folder of the delegated group.
    :ivar prefix: the beginning of the paths of this container's sensors; other containers may have groups next to them.

    Raises OSError when the group cannot be used.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        own = home / CONTAINER
        own.mkdir(exist_ok=True)
        if not (own / "cgroup.kill").exists():
            raise OSError("this kernel cannot kill a control group")
        if not _write(own / "cgroup.procs", str(os.getpid())):
            raise OSError("this process cannot be moved into it")
        for controller in ("+memory", "+pids"):
            _write(home / "cgroup.subtree_control", controller)
        self.prefix = home / f"{SENSOR}{os.getpid()}-"
        _clear([path for path in home.glob(f"{SENSOR}*-*") if not _has_container(path)])

    def clear(self) -> None:
        """Kill the remaining processes in the groups of this container's sensors, and remove the groups."""
        _clear(list(self._home.glob(f"{self.prefix.name}*")))

    def make(self, ref: str, unique: str, overrides: Overrides) -> Cgroup:
        """Make the group of a sensor that is being started. Raises OSError."""
        path = self._home / f"{self.prefix.name}{ref}-{unique}"
        return Cgroup(path, overrides.memory, overrides.processes)


def delegated() -> Cgroups | None:
    """Return the group that this process is in, if it is delegated to the process and can be used."""
    home = _own()
    if home is None or not _is_delegated(home):
        return None
    try:
        return Cgroups(home)
    except OSError as error:
        LOG.warning("control group %s cannot be used: %s", home, error)
        return None


def _own() -> Path | None:
    """Return the folder of the group that this process is in; None for the root, which cannot be delegated."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return None
    path = next((entry[3:] for entry in entries if entry.startswith("0::")), "/")
    mount = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
    return None if mount is None or path == "/" else Path(mount + path)


def _is_delegated(home: Path) -> bool:
    if not os.access(home, os.W_OK):
        return False
    if os.geteuid() != 0:
        return True
    for name in DELEGATE:
        with suppress(OSError):
            if os.getxattr(home, name) == b"1":
                return True
    return False


def _has_container(path: Path) -> bool:
    """Return whether the container of a sensor's group is alive."""
    pid = path.name.removeprefix(SENSOR).partition("-")[0]
    try:
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _clear(left: list[Path]) -> None:
    for _ in range(TRIES):
        left = [path for path in left if not _removed(path)]
        if not left:
            return
        time.sleep(REMOVE_RETRY)
    LOG.warning("cannot remove control groups %s", ", ".join(map(str, left)))


def _removed(path: Path) -> bool:
    """Kill the processes of a group, and remove it. Returns False while some of them have not ended."""
    _write(path / "cgroup.kill", "1")
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(file: Path, text: str) -> bool:
    """Write a control file. Returns whether the kernel accepted the text."""
    try:
        file.write_text(text)
    except OSError:
        return False
    return True
