"""Orphans are collected; wrappers, zygotes and processes on their way are left to their owners."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from st2sensor.container.launch.reaper import Reaper, collect_child, ended_children
from tests.support.virtual_time import run_in_virtual_time


class Processes:
    """Children of a container: 10 is a zygote, 20 a wrapper; the others are strangers."""

    def __init__(self) -> None:
        self.is_starting = False
        self.own_processes = {10}
        self.ended: list[int] = []
        self.disowned: list[int] = []
        self.collected: list[int] = []
        self.reaper = Reaper(asyncio.get_running_loop(), self, lambda: {20}, ended=self._ended, collect=self._collect)

    def disown(self, pid: int) -> None:
        self.disowned.append(pid)

    def _ended(self) -> Iterator[int]:
        # Like the kernel, this lists the first one until it is collected.
        while self.ended:
            yield self.ended[0]

    def _collect(self, pid: int) -> None:
        self.ended.remove(pid)
        self.collected.append(pid)


def test_orphans_are_collected_and_forgotten_a_moment_after_an_end() -> None:
    async def main() -> None:
        processes = Processes()
        processes.ended = [30, 31]
        processes.reaper.schedule()
        processes.reaper.schedule()
        assert processes.collected == []
        await asyncio.sleep(0.1)
        assert (processes.collected, processes.disowned) == ([30, 31], [30, 31])

    run_in_virtual_time(main())


@pytest.mark.parametrize("owned", [10, 20])
def test_a_zygote_or_a_wrapper_is_left_to_its_owner(owned: int) -> None:
    async def main() -> None:
        processes = Processes()
        processes.ended = [owned, 30]
        processes.reaper.schedule()
        await asyncio.sleep(1)
        assert processes.collected == []
        # Its owner collects it.
        processes.ended.remove(owned)
        await asyncio.sleep(0.1)
        assert processes.collected == [30]

    run_in_virtual_time(main())


def test_while_a_wrapper_is_on_its_way_nobody_is_collected() -> None:
    async def main() -> None:
        processes = Processes()
        processes.is_starting, processes.ended = True, [30]
        processes.reaper.schedule()
        await asyncio.sleep(1)
        assert processes.collected == []
        processes.is_starting = False
        await asyncio.sleep(0.1)
        assert processes.collected == [30]

    run_in_virtual_time(main())


def test_a_child_is_listed_once_it_has_ended_and_until_it_is_collected() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert next(ended_children()) == process.pid
        collect_child(process.pid)
        assert process.pid not in ended_children()
        # The process has already been collected: nothing happens.
        collect_child(process.pid)
        process.returncode = 0
