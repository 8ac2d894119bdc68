"""Collects orphans: processes that lost their parents and became children of the container, their subreaper."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from typing import Protocol

REAP_DELAY = 0.02
"""Seconds between the end of a process and the search for orphans, which then covers other ends as well."""


def ended_children() -> Iterator[int]:
    """List the children that have ended and have not been collected yet."""
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if info is None:
            return
        yield info.si_pid


def collect_child(pid: int) -> None:
    """Collect a child that has ended, unless it has already been collected."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


class Owner(Protocol):
    """The part that starts wrappers, as the reaper uses it."""

    @property
    def is_starting(self) -> bool:
        """Whether a process whose id is not known yet is being started."""

    @property
    def own_processes(self) -> Container[int]:
        """Process ids that the owner itself collects."""

    def disown(self, pid: int) -> None:
        """Forget a process that may have been a wrapper whose start failed."""


class Reaper:
    """For the loop's thread.

    :param wrappers: returns the process ids of the wrappers: their handles collect them.
    :param ended: lists the children that have ended and have not been collected yet.
    :param collect: collects one of them.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        owner: Owner,
        wrappers: Callable[[], Container[int]],
        *,
        ended: Callable[[], Iterator[int]] = ended_children,
        collect: Callable[[int], None] = collect_child,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._wrappers = wrappers
        self._ended = ended
        self._collect = collect
        self._timer: TimerHandle | None = None

    def schedule(self) -> None:
        """Search for orphans in a moment, because a process has ended."""
        if self._timer is None:
            self._timer = self._loop.call_later(REAP_DELAY, self._search)

    def _search(self) -> None:
        self._timer = None
        if not self._reap():
            self.schedule()

    def _reap(self) -> bool:
        """Collect the orphans that have ended. Returns False if some cannot be distinguished from wrappers yet."""
        if self._owner.is_starting:
            # A process that has ended while a wrapper is being started may be that wrapper.
            return False
        wrappers, own = self._wrappers(), self._owner.own_processes
        for pid in self._ended():
            if pid in wrappers or pid in own:
                # The process's owner collects it in a moment.
                return False
            # The process may be a wrapper whose start failed, and its id may soon belong to another process.
            self._owner.disown(pid)
            self._collect(pid)
        return True
