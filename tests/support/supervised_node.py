"""Stand-ins for the process of a sensor, and for the parts of the container around it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from st2sensor import config
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.container.supervision.child import Child
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.supervision.children import Children
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.wrapper_reports import WrapperReports
from st2sensor.errors import LeaseLost
from st2sensor.models import Overrides, SensorType
from st2sensor.settings import Container, Restarts
from st2sensor.sharing.clocks import Moment

REF = "p.S"

RESTARTS = Restarts(delay=1.0, delay_max=300.0, jitter=0.0, healthy_after=60.0, failing_after=3)


def sensor_type(ref: str = REF) -> SensorType:
    pack, _, name = ref.partition(".")
    return SensorType(
        name=name,
        pack=pack,
        artifact_uri=f"file:///packs/{pack}/sensors/{name}.py",
        entry_point=name,
        trigger_types=(),
    )


def container_settings(**changed: Any) -> Container:
    """Return the default settings, without delays that differ from run to run."""
    usual: dict[str, Any] = {"state_dir": Path("/nonexistent"), "restarts": RESTARTS, "output_rate": 0.0}
    return replace(_defaults(), **{**usual, **changed})


@cache
def _defaults() -> Container:
    with NamedTemporaryFile(suffix=".conf") as empty:
        return config.load([empty.name]).container


class FakeHandle(Handle):
    """A process that a test controls. Records the requests that it gets, with the seconds since its start.

    :param clock: the loop's clock.
    """

    def __init__(self, pid: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        pidfd, self._alive = os.pipe()
        output, self.prints_to = os.pipe()
        os.set_blocking(output, False)
        super().__init__(pid, pidfd, output, "python wrapper")
        self._started_at = clock()
        self.asked: list[tuple[float, str]] = []
        self.code: int | None = None

    def exit(self, code: int) -> None:
        """End the process from the container's point of view: the handle becomes readable."""
        if self.code is None:
            self.code = code
            os.close(self._alive)
            os.close(self.prints_to)

    def print(self, text: str) -> None:
        os.write(self.prints_to, text.encode())

    def terminate(self) -> None:
        self._note("terminate")

    def insist(self) -> None:
        self._note("insist")

    def dump_stacks(self) -> None:
        self._note("dump_stacks")

    def kill(self) -> None:
        if self.code is None:
            self._note("kill")
            self.exit(-signal.SIGKILL)

    def _note(self, what: str) -> None:
        self.asked.append((round(self._clock() - self._started_at, 2), what))

    def reap(self) -> int:
        assert self.code is not None
        os.close(self.pidfd)
        return self.code


class Node:
    """The sensors of a node, with real states and simulated processes. Everything uses the loop's time.

    :ivar processes: the processes that were started, oldest first.
    :ivar ended: the state and the exit code of each end.
    :ivar prepare_error: raised instead of a spec; :ivar start_error: raised instead of a process.
    :ivar gate: a start waits for it; :ivar lease_lost: no sensor may run here any more.
    """

    def __init__(self, **changed: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.settings = container_settings(**changed)
        self.processes: list[FakeHandle] = []
        self.ended: list[tuple[Child, int]] = []
        self.announced: list[str] = []
        self.forgotten: list[int] = []
        self.released: list[tuple[float, float, float]] = []
        self.hung_up: list[str] = []
        self.hang_up_error: Exception | None = None
        self.prepare_error: Exception | None = None
        self.start_error: Exception | None = None
        self.gate: asyncio.Future[None] | None = None
        self.lease_lost = False
        self.wake = asyncio.Event()
        self.recorder = Recorder(Broadcast(), self.settings.restarts, self.loop.time)
        self.table = ChildTable(self.recorder)
        self.reports = WrapperReports(self.table, self.settings, self.recorder, self.wake, self.loop.time)
        self.children = Children(
            self.loop,
            self.settings,
            self.table,
            self.recorder,
            preparation=self,
            launcher=self,
            sessions=self,
            release=self,
            blocking=self.blocking,
            announce=lambda trigger, payload: self.announced.append(f"{trigger} {payload['id']}"),
            tenure=self,
            wake=self.wake,
            ended=self._note_end,
            clock=self.loop.time,
        )

    @property
    def child(self) -> Child:
        return self.table.states[REF]

    @property
    def process(self) -> FakeHandle:
        return self.processes[-1]

    async def started(self, overrides: Overrides | None = None, digest: str = "d") -> FakeHandle:
        """Start the sensor, and wait for its process."""
        count = len(self.processes)
        self.children.start(sensor_type(), overrides or Overrides(), digest)
        while len(self.processes) == count or REF not in self.table.runs:
            await asyncio.sleep(0)
        return self.process

    async def running(self, overrides: Overrides | None = None) -> FakeHandle:
        """Start the sensor, and have it say hello and enter setup()."""
        process = await self.started(overrides)
        assert await self.reports.sensor_of(self.table.runs[REF].token) == REF
        self.reports.is_ready(REF)
        return process

    async def gone(self) -> Child:
        """Wait until the sensor has no process, and return its state."""
        while REF in self.table.runs or self.table.births:
            await asyncio.sleep(0.001)
        return self.child

    def _note_end(self, child: Child, code: int) -> None:
        self.ended.append((child, code))
        self.wake.set()

    # Stand-ins for the parts that handle children.

    async def prepare(self, sensor: SensorType, overrides: Overrides, token: str) -> LaunchSpec:  # noqa: ARG002
        if self.gate is not None:
            await self.gate
        if self.prepare_error is not None:
            raise self.prepare_error
        return LaunchSpec(ref=sensor.ref, interpreter=Path("python"), socket=Path("wrapper.sock"), token=token)

    async def start(self, launch: LaunchSpec) -> Handle:  # noqa: ARG002
        if self.start_error is not None:
            raise self.start_error
        process = FakeHandle(4000 + len(self.processes), self.loop.time)
        self.processes.append(process)
        return process

    def forget(self, group: int) -> None:
        self.forgotten.append(group)

    def limit(self, end: Moment) -> None:  # noqa: ARG002
        raise AssertionError("only a membership sets it")

    def close(self) -> None:
        raise AssertionError("only the assembly closes it")

    def hang_up(self, ref: str) -> None:
        self.hung_up.append(ref)
        if self.hang_up_error is not None:
            raise self.hang_up_error

    def look(self, ref: str, asked_at: float, patience: float) -> None:
        assert ref in self.table.runs
        self.released.append((self.loop.time(), asked_at, patience))

    async def blocking(self, call: Callable[[], Any]) -> Any:
        return call()

    def fence_of(self, sensor: str) -> int | None:
        if self.lease_lost:
            raise LeaseLost(sensor)
        return None

    def is_held(self, sensor: str, fence: int | None) -> bool:  # noqa: ARG002
        return not self.lease_lost
