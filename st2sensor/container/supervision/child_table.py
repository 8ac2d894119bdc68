"""The sensors of this node, by reference: their states, their processes, and the tokens of their wrappers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from st2sensor.container.sessions.activity import Activity
from st2sensor.container.supervision.child import ALIVE, Child, State
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.run import Run
from st2sensor.errors import SensorNotFound
from st2sensor.models import Overrides


class ChildTable:
    """For the loop's thread. `Children` and `WrapperReports` change it; everyone else reads it.

    :ivar runs: the processes that are alive.
    :ivar overrides: the overrides that an operator has set for each sensor that was started.
    :ivar refs: sensor references by token.
    :ivar births: processes on their way, by token; done once the process runs or has failed to start.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._states: dict[str, Child] = {}
        self.runs: dict[str, Run] = {}
        self.overrides: dict[str, Overrides] = {}
        self.refs: dict[str, str] = {}
        self.births: dict[str, asyncio.Future[None]] = {}

    @property
    def states(self) -> Mapping[str, Child]:
        return self._states

    @property
    def alive(self) -> list[str]:
        """The sensors that have a process, or will have one in a moment."""
        return [ref for ref, child in self._states.items() if child.state in ALIVE]

    def move(self, child: Child) -> None:
        """Replace a sensor's state, and record the change."""
        self._states[child.ref] = child
        self._recorder.moved(child)

    def forget(self, ref: str) -> None:
        """Drop a sensor that has no process."""
        del self._states[ref]
        self.overrides.pop(ref, None)

    def is_stopping(self, ref: str) -> bool:
        """Whether a sensor has been asked to stop. For any thread."""
        child = self._states.get(ref)
        return child is not None and child.state is State.STOPPING

    def log_level(self, ref: str) -> int:
        """Return the minimum level of a sensor's records that are logged. Raises SensorNotFound if it is forgotten."""
        overrides = self.overrides.get(ref)
        if overrides is None:
            raise SensorNotFound(f"sensor {ref} should no longer run here")
        name = overrides.log_level
        return logging.getLogger().getEffectiveLevel() if name is None else logging.getLevelNamesMapping()[name]

    def with_process(self) -> list[str]:
        """Return the sensors that have a process."""
        return list(self.runs)

    def activity_of(self, ref: str) -> Activity | None:
        """Return the running methods of a sensor; None if it has no process."""
        return self.runs[ref].activity if ref in self.runs else None

    def process_ids(self) -> set[int]:
        """Return the process ids of all wrappers."""
        return {run.process.pid for run in self.runs.values()}

    def conceal(self, ref: str, secrets: frozenset[str]) -> None:
        """Mask secrets in the output and the records of a sensor from now on."""
        if ref in self.runs:
            self.runs[ref].output.conceal(secrets)
