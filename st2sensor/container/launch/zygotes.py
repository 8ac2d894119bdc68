"""Starts wrappers through zygotes: one per base interpreter, made when first needed, and replaced when it dies."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from asyncio import AbstractEventLoop
from pathlib import Path

from st2sensor import backoff
from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import Inherited, LaunchSpec, common
from st2sensor.container.launch.zygote_client import ZygoteClient, empty_environment
from st2sensor.sharing.clocks import Moment

LOG = logging.getLogger("st2sensor.supervision")

PR_SET_CHILD_SUBREAPER = 36

FIRST_REPLACEMENT, LAST_REPLACEMENT = 0.05, 15.0
"""Minimum and maximum seconds until a dead zygote is replaced; doubled each time it dies without having started a
process."""

OWN = Path(sys.executable)
"""The interpreter of packs without a virtualenv. Forks of its zygote never need another interpreter."""


class Zygotes:
    """For the loop's thread, which must be the main thread.

    :param folder: the folder of the zygotes' empty virtualenvs.
    :param socket: the container's socket for most wrappers.
    :param sensors: the settings that sensors inherit.
    :param cgroups: prefix of the paths of the sensors' control groups, if they have any.
    """

    def __init__(
        self, loop: AbstractEventLoop, folder: Path, socket: Path, sensors: Inherited, cgroups: Path | None
    ) -> None:
        self._loop = loop
        self._folder = folder
        self._socket = socket
        self._sensors = sensors
        self._cgroups = cgroups
        self._zygotes: dict[Path, ZygoteClient] = {}
        self._groups: dict[Path, set[int]] = {}
        """Live process groups, by the base interpreter of their zygote."""
        self._deaths: dict[Path, int] = {}
        """Deaths of zygotes since one of them last started something."""
        self._end: Moment | None = None
        """The moment at which zygotes kill all sensors, as soon as either clock reaches it."""
        self._starting = 0
        """Number of processes on their way whose process ids are not known yet."""
        # If a zygote must fork twice, the wrapper becomes an orphan. As a subreaper, this process adopts it.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    async def start(self, launch: LaunchSpec) -> Handle:
        """Start a wrapper. Raises OSError when it cannot be started."""
        base = launch.interpreter if launch.interpreter == OWN else base_of(launch.interpreter)
        execute = base is None or launch.eventlet is not None
        base = base or OWN
        zygote = self._zygote(base)
        self._starting += 1
        try:
            process = await zygote.start(launch, execute=execute)
        finally:
            self._starting -= 1
        self._deaths[base] = 0
        self._groups.setdefault(base, set()).add(process.pid)
        successor = self._zygotes.get(base)
        if successor is not None and successor is not zygote:
            successor.hold([process.pid])
        return process

    def forget(self, group: int) -> None:
        """Drop a process group that has ended."""
        for base, groups in self._groups.items():
            if group in groups:
                groups.discard(group)
                if base in self._zygotes:
                    self._zygotes[base].forget(group)

    def limit(self, end: Moment) -> None:
        """Make sure that all sensors are killed at a moment, even while this process is paused. A later call replaces
        the moment."""
        self._end = end
        for zygote in self._zygotes.values():
            zygote.limit(end)

    @property
    def is_starting(self) -> bool:
        """Whether a process whose id is not known yet is being started."""
        return self._starting > 0

    @property
    def own_processes(self) -> set[int]:
        """Process ids of the zygotes."""
        return {zygote.pid for zygote in self._zygotes.values()}

    def disown(self, pid: int) -> None:
        """Forget a process that may have been a wrapper whose start failed."""
        for zygote in self._zygotes.values():
            zygote.forget(pid)

    def close(self) -> None:
        """End the zygotes."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()

    def _zygote(self, base: Path) -> ZygoteClient:
        if base not in self._zygotes:
            interpreter = base if base == OWN else empty_environment(base, self._folder)
            zygote = ZygoteClient(
                self._loop,
                interpreter,
                common(base, self._socket),
                self._sensors,
                lambda ended: self._died(base, ended),
            )
            zygote.hold(self._groups.get(base, ()))
            if self._cgroups is not None:
                zygote.guard(self._cgroups)
            if self._end is not None:
                zygote.limit(self._end)
            self._zygotes[base] = zygote
        return self._zygotes[base]

    def _died(self, base: Path, zygote: ZygoteClient) -> None:
        del self._zygotes[base]
        deaths = self._deaths[base] = self._deaths.get(base, 0) + 1
        wait = backoff.delay(deaths, first=FIRST_REPLACEMENT, cap=LAST_REPLACEMENT)
        LOG.warning("zygote %d of %s died; its sensors keep running, and a new one replaces it", zygote.pid, base)
        self._loop.call_later(wait, self._replace, base)

    def _replace(self, base: Path) -> None:
        """Make a successor, because without a warden the sensors' groups would outlive the container."""
        if self._groups.get(base):
            try:
                self._zygote(base)
            except Exception as error:  # noqa: BLE001 (it will be tried again)
                LOG.error("the zygote of %s cannot be replaced for now: %s", base, error)
                self._loop.call_later(LAST_REPLACEMENT, self._replace, base)


def base_of(interpreter: Path) -> Path | None:
    """Return the interpreter that a virtualenv was made from, or the interpreter itself outside a virtualenv.

    Returns None for a virtualenv that holds a copy: its base is unknown, so the copy must be executed.
    """
    real = Path(os.path.realpath(interpreter))
    environment = Path(os.path.abspath(interpreter)).parent.parent
    if (environment / "pyvenv.cfg").is_file() and real.is_relative_to(os.path.realpath(environment)):
        return None
    return real
