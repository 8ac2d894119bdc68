"""Samples the memory and processor time of sensors on request."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.container.supervision import memory

SAMPLE_LIFETIME = 5.0
"""Seconds for which a sample of all processes stays valid."""

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a call that blocks on files in another thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Resources that a process uses.

    :param memory: in bytes; `own` is the part that it does not share with other processes.
    :param cpu: seconds of processor time, including those of its ended subprocesses.
    """

    memory: int
    cpu: float
    own: int = 0


class Sampler:
    """For the loop's thread."""

    def __init__(self, blocking: Blocking, clock: Callable[[], float]) -> None:
        self._blocking = blocking
        self._clock = clock
        self._sampled_at = -SAMPLE_LIFETIME
        self._sampling = asyncio.Lock()
        self._usages: dict[int, Usage] = {}
        self.own = Usage(memory=0, cpu=0.0)
        """Usage of this process, as of the last sample of all processes."""

    async def sample_all(self, pids: Iterable[int]) -> None:
        """Sample all processes, unless the last such sample is still valid."""
        async with self._sampling:
            if self._clock() >= self._sampled_at + SAMPLE_LIFETIME:
                wanted = list(pids)
                self._usages, self.own = await self._blocking(lambda: ({pid: _usage(pid) for pid in wanted}, _own()))
                self._sampled_at = self._clock()

    async def sample(self, pid: int) -> None:
        """Sample one process now."""
        self._usages |= await self._blocking(lambda: {pid: _usage(pid)})

    def of(self, pid: int | None) -> Usage | None:
        """Return the last sample of a process; None if there is none."""
        return None if pid is None else self._usages.get(pid)


def _usage(pid: int) -> Usage:
    used = memory.measured(pid)
    return Usage(memory=used.total, cpu=_cpu(pid), own=used.own)


def _own() -> Usage:
    return Usage(memory=memory.used_alone(os.getpid()), cpu=time.process_time())


def _cpu(pid: int) -> float:
    """Return a process's seconds of processor time; 0 if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The name may contain any character. utime, stime, cutime and cstime follow it as fields 14 to 17 of the line.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND
