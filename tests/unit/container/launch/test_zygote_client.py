"""The zygote as warden of sensors under leases: it kills them once a deadline has passed without being moved."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import Inherited, LaunchSpec, common
from st2sensor.container.launch.zygote_client import ZygoteClient
from st2sensor.container.launch.zygotes import OWN
from st2sensor.sharing.clocks import Moment, now
from tests.plugins.patience import SOON


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[ZygoteClient, Handle]]:
    """A zygote with one process, whose container does not answer."""
    address = folder / "wrapper.sock"
    inherited = Inherited(umask=0o022, open_files=resource.getrlimit(resource.RLIMIT_NOFILE))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(address))
        silent.listen()
        zygote = ZygoteClient(asyncio.get_running_loop(), OWN, common(OWN, address), inherited, lambda _: None)
        process = await zygote.start(launch(folder), execute=False)
        try:
            yield zygote, process
        finally:
            os.close(process.output)
            zygote.close()


def launch(folder: Path) -> LaunchSpec:
    return LaunchSpec(
        ref="p.S",
        interpreter=OWN,
        socket=folder / "wrapper.sock",
        token="token",
        eventlet=None,
        cgroup=None,
        limits={"user": None},
        variables={},
    )


async def ended(process: Handle) -> None:
    """Wait for the process's end, as its container does."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.pidfd, gone.set)
    async with asyncio.timeout(SOON):
        await gone.wait()
    loop.remove_reader(process.pidfd)


@pytest.mark.parametrize("behind", [Moment(0, 0), Moment(0, 1000), Moment(1000, 0)], ids=["both", "boot", "wall"])
def test_sensors_are_killed_when_one_clock_is_at_the_deadline_and_not_before(folder: Path, behind: Moment) -> None:
    """The other clock may stand still: boot time in a paused machine, the wall clock when it was set back."""

    async def play() -> float:
        async with started(folder) as (zygote, process):
            zygote.limit(now().after(1000))
            deadline = now().after(0.5)
            zygote.limit(Moment(deadline.boot + behind.boot, deadline.wall + behind.wall))
            await ended(process)
            late = now().boot - deadline.boot if behind.wall else now().wall - deadline.wall
            assert process.reap() == -signal.SIGKILL
            return late

    assert asyncio.run(play()) >= 0


def test_a_warden_that_was_frozen_itself_kills_as_soon_as_it_goes_on(folder: Path) -> None:
    async def play() -> int:
        async with started(folder) as (zygote, process):
            warden = psutil.Process(zygote.pid)
            warden.suspend()
            deadline = now().after(0.2)
            zygote.limit(deadline)
            while now().boot < deadline.boot + 0.1:
                await asyncio.sleep(0.05)
            assert psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE
            warden.resume()
            await ended(process)
            return process.reap()

    assert asyncio.run(play()) == -signal.SIGKILL


def test_a_deadline_that_was_moved_while_the_warden_was_frozen_kills_nobody(folder: Path) -> None:
    async def play() -> str:
        async with started(folder) as (zygote, process):
            warden = psutil.Process(zygote.pid)
            warden.suspend()
            deadline = now().after(0.2)
            zygote.limit(deadline)
            zygote.limit(now().after(100))
            while now().boot < deadline.boot + 0.1:
                await asyncio.sleep(0.05)
            warden.resume()
            # It answers once it has read all of these messages.
            second = await zygote.start(launch(folder), execute=False)
            status = psutil.Process(process.pid).status()
            for each in (process, second):
                each.kill()
                await ended(each)
                each.reap()
            os.close(second.output)
            return status

    assert asyncio.run(play()) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
