"""How much memory and processor time the sensors use, sampled while somebody wants to know."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.container.supervision import memory

FRESH = 5.0
"""Seconds for which a sample is good."""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """:param memory: bytes; :param cpu: seconds of processor time, that of ended subprocesses included."""

    memory: int
    cpu: float


class Sampler:
    """For the loop's thread.

    :param blocking: runs what reads files elsewhere.
    """

    def __init__(self, blocking: Callable[[Callable[[], Any]], Awaitable[Any]], clock: Callable[[], float]) -> None:
        self._blocking = blocking
        self._clock = clock
        self._sampled_at = -FRESH
        self._sampling = asyncio.Lock()
        self._usages: dict[int, Usage] = {}
        self.own = Usage(memory=0, cpu=0.0)
        """Of this process, as of the last sample of all."""

    async def sample_all(self, pids: Iterable[int]) -> None:
        """Look at every process, unless that was done a moment ago."""
        async with self._sampling:
            if self._clock() >= self._sampled_at + FRESH:
                wanted = list(pids)
                self._usages, self.own = await self._blocking(lambda: ({pid: _usage(pid) for pid in wanted}, _own()))
                self._sampled_at = self._clock()

    async def sample(self, pid: int) -> None:
        """Look at one process now."""
        self._usages |= await self._blocking(lambda: {pid: _usage(pid)})

    def of(self, pid: int | None) -> Usage | None:
        """As of the last sample."""
        return None if pid is None else self._usages.get(pid)


def _usage(pid: int) -> Usage:
    return Usage(memory=memory.used_by(pid), cpu=_cpu(pid))


def _own() -> Usage:
    return Usage(memory=memory.used_alone(os.getpid()), cpu=time.process_time())


def _cpu(pid: int) -> float:
    """0 for a process that has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # After the name, which may hold anything: utime, stime, cutime, cstime are fields 14 to 17 of the whole.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS
