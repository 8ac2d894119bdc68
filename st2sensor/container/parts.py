"""The parts of a container as one value, and the configuration that they are built from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from st2sensor.container.desired.refresh import Refresh
from st2sensor.container.expectations import Expectations
from st2sensor.container.launch.cgroup import Cgroups
from st2sensor.container.launch.launcher import Launcher
from st2sensor.container.launch.reaper import Reaper
from st2sensor.container.launch.spec import Inherited
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.operators.interface import OperatorInterface
from st2sensor.container.operators.neighbours import Neighbours
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.endpoint import Endpoints
from st2sensor.container.sessions.wrapper_methods import WrapperMethods
from st2sensor.container.supervision.children import Children
from st2sensor.container.targets import Targets
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.settings import Settings
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The configuration of one run of the container.

    :param sensors: the settings that sensors inherit from the process that started the container.
    :param only: run this sensor alone, and end with its exit code.
    :param foreground: give that sensor this terminal, and no time limits.
    :param clock: monotonic, in seconds.
    """

    settings: Settings
    state_dir: Path
    sensors: Inherited
    only: str | None = None
    foreground: bool = False
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that the supervisor starts, uses and stops.

    :param wake: set when the supervisor should take a turn.
    :param reaper: None in the foreground, where orphans do not become children of this process.
    """

    setup: Setup
    wake: asyncio.Event
    lifetime: Lifetime
    targets: Targets
    refresh: Refresh
    catalogue: Catalogue
    pipeline: Pipeline
    children: Children
    launcher: Launcher
    reaper: Reaper | None
    cgroups: Cgroups | None
    methods: WrapperMethods
    datastore: DatastoreMethods
    database_calls: DatabaseCalls
    endpoints: Endpoints
    assignments: Assignments
    workers: Pool
    hangs: Hangs
    expectations: Expectations
    neighbours: Neighbours
    operations: Operations
    interface: OperatorInterface
    file_threads: Threads

    async def close(self) -> None:
        """Close every part, once the sensors have stopped."""
        await self.pipeline.dispatcher.finish()
        await self.interface.close()
        self.hangs.close()
        await self.expectations.close()
        self.endpoints.close()
        await self.refresh.close()
        self.database_calls.close()
        self.assignments.close()
        self.workers.close()
        await self.datastore.close()
        self.launcher.close()
        if self.cgroups is not None:
            self.cgroups.clear()
        self.file_threads.shutdown()
