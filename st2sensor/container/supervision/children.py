"""Starts and stops the sensors of this node, and handles the ends of their processes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from st2sensor.container.desired.membership import OVER
from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.launcher import Launcher
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.container.sessions.release import patience_of
from st2sensor.container.supervision import child as transitions
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.supervision.output import Output
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.run import Run
from st2sensor.container.supervision.watchdog import Watchdog
from st2sensor.errors import LeaseLost, St2SensorError
from st2sensor.models import Overrides, SensorType
from st2sensor.settings import Container
from st2sensor.sharing.held_leases import Tenure
from st2sensor.sharing.times import times_of

LOG = logging.getLogger("st2sensor.supervision")

CANNOT_START = 127
"""Exit code reported when no process could be started; shells use the same code."""


SPAWNED, EXITED = "core.st2.sensor.process_spawn", "core.st2.sensor.process_exit"


class Preparation(Protocol):
    """Prepares the start of a sensor."""

    async def prepare(self, sensor: SensorType, overrides: Overrides, token: str) -> LaunchSpec:
        """Make the spec of the sensor's wrapper. Raises St2SensorError and OSError."""


class Sessions(Protocol):
    """The sessions of wrappers, by sensor."""

    def hang_up(self, ref: str) -> None:
        """Handle everything already received from a sensor, and end its sessions."""


class Release(Protocol):
    """Releases the calls in which a stopping sensor is waiting."""

    def look(self, ref: str, asked_at: float, patience: float) -> None:
        """Release the calls that have waited for long enough.

        :param asked_at: when the sensor was asked to stop, on the monotonic clock.
        :param patience: seconds that a call may wait.
        """


class Children:
    """For the loop's thread.

    :param blocking: runs a call that blocks on files in another thread.
    :param announce: dispatches one of the container's own triggers.
    :param tenure: says whether a sensor may still run here.
    :param wake: set when a sensor's state changes without the supervisor having asked for it.
    :param ended: called with the state and the exit code, negative for a signal, of each process that has ended.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        settings: Container,
        table: ChildTable,
        recorder: Recorder,
        *,
        preparation: Preparation,
        launcher: Launcher,
        sessions: Sessions,
        release: Release,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
        announce: Callable[[str, dict[str, Any]], None],
        tenure: Tenure,
        wake: asyncio.Event,
        ended: Callable[[Child, int], None],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._settings = settings
        sharing = settings.sharing
        self._grace = settings.stop_timeout if sharing is None else times_of(sharing.lease).grace
        """Minimum number of seconds that a sensor gets to stop; with shared sensors, before its lease ends."""
        self._table = table
        self._recorder = recorder
        self._preparation = preparation
        self._launcher = launcher
        self._sessions = sessions
        self._release = release
        self._blocking = blocking
        self._announce = announce
        self._tenure = tenure
        self._wake = wake
        self._ended = ended
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, Child]:
        return self._table.states

    @property
    def alive(self) -> list[str]:
        """The sensors that have a process, or will have one in a moment."""
        return self._table.alive

    def overrides_of(self, ref: str) -> Overrides:
        """Return the overrides that an operator has set for a sensor that was started."""
        return self._table.overrides[ref]

    def process_ids(self) -> set[int]:
        """Return the process ids of all wrappers."""
        return self._table.process_ids()

    def process_id(self, ref: str) -> int | None:
        """Return the process id of a sensor; None if it has no process."""
        return self._table.runs[ref].process.pid if ref in self._table.runs else None

    def method_of(self, ref: str) -> str | None:
        """Return the method of a sensor that has run longest, as in `setup()`; None if none is running."""
        activity = self._table.activity_of(ref)
        oldest = None if activity is None else activity.oldest
        return None if oldest is None else oldest.what

    # The supervisor's decisions.

    def start(self, sensor: SensorType, overrides: Overrides, digest: str) -> None:
        """Start a sensor. A failed start is repeated later, as after a failure of the sensor."""
        ref = sensor.ref
        previous = self.states.get(ref)
        same = previous is not None and previous.digest == digest
        failures, reason = (previous.failures, "it is due again") if same and previous else (0, "it is new or changed")
        self._table.move(transitions.starting(ref, digest, self._clock(), failures, reason))
        self._table.overrides[ref] = overrides
        task = self._loop.create_task(self._start(sensor, overrides))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, ref: str, reason: str) -> None:
        """Ask a sensor to stop. It is killed if it does not stop in time."""
        self._recorder.stops(ref, reason)
        self._stop(ref, reason, failed=False)

    def stop_all(self, reason: str) -> None:
        """Ask every sensor that has not been asked yet to stop."""
        for ref in self.alive:
            if not self._table.is_stopping(ref):
                self.stop(ref, reason)

    def kill_all(self) -> None:
        """Kill every process."""
        for run in self._table.runs.values():
            run.process.kill()

    def start_now(self, ref: str) -> None:
        """End the wait of a sensor that has no process, so that it starts in the supervisor's next turn."""
        self._table.move(transitions.unwaited(self.states[ref], self._clock(), "an operator is starting it"))
        self._wake.set()

    def forget(self, ref: str) -> None:
        """Drop a sensor that has no process and should no longer run."""
        self._table.forget(ref)

    def override(self, ref: str, overrides: Overrides) -> int | None:
        """Apply overrides that may change while a sensor runs.

        Returns the sensor's log level if it must be sent to the sensor, or else None.
        """
        self._table.overrides[ref] = overrides
        run = self._table.runs.get(ref)
        if run is None or run.log_level == self._table.log_level(ref):
            return None
        self._set_log_level(ref, run)
        return run.log_level

    # The life of a process.

    async def _start(self, sensor: SensorType, overrides: Overrides) -> None:
        token = secrets.token_hex(16)
        spec = None
        birth = self._table.births[token] = self._loop.create_future()
        try:
            spec = await self._preparation.prepare(sensor, overrides, token)
            if self._table.is_stopping(sensor.ref):
                raise OSError("it is not wanted any more")
            process = await self._launcher.start(spec)
        except Exception as error:
            if not isinstance(error, (OSError, St2SensorError)):
                LOG.exception("%s cannot be started", sensor.ref)
            if spec is not None and spec.cgroup is not None:
                spec.cgroup.remove(self._loop)
            self._not_started(sensor.ref, f"cannot be started: {error}")
        else:
            self._started(sensor, spec, process)
        finally:
            del self._table.births[token]
            birth.set_result(None)

    def _not_started(self, ref: str, reason: str) -> None:
        if self._table.is_stopping(ref):
            # STOPPING -> STOPPED
            child = transitions.exited(self.states[ref], reason, self._clock(), self._settings.restarts, success=False)
        else:
            child = transitions.backing_off(self.states[ref], reason, self._clock(), self._settings.restarts)
        self._table.move(child)
        self._recorder.cannot_start(child)
        self._ended(child, CANNOT_START)

    def _started(self, sensor: SensorType, spec: LaunchSpec, process: Handle) -> None:
        ref = sensor.ref
        output = Output(self._loop, process.output, ref, process.pid, self._settings.output_rate, self._recorder)
        fail = partial(self._stop, ref, failed=True)
        watchdog = Watchdog(self._loop, ref, process, output, self._recorder, fail)
        run = self._table.runs[ref] = Run(process, output, watchdog, token=spec.token, cgroup=spec.cgroup)
        self._table.refs[spec.token] = ref
        self._set_log_level(ref, run)
        self._loop.add_reader(process.pidfd, self._exited, ref)
        self._recorder.started(ref, process.pid)
        payload = {"id": sensor.name, "timestamp": int(time.time()), "pid": process.pid, "cmd": process.command}
        self._announce(SPAWNED, payload)
        if self._table.is_stopping(ref):
            # A stop was requested while the process was on its way.
            self._interrupt(ref, run)
            return
        overrides = self._table.overrides[ref]
        watchdog.expect("the way to setup()", overrides.start_timeout or self._settings.start_timeout)
        limited_by_kernel = spec.cgroup is not None and spec.cgroup.limits_memory
        if overrides.memory is not None and not limited_by_kernel:
            watchdog.watch_memory(lambda: self._table.overrides[ref].memory, self._blocking)

    def _stop(self, ref: str, reason: str, *, failed: bool) -> None:
        child, now = self.states[ref], self._clock()
        healthy = transitions.is_healthy(child, now, self._settings.restarts)
        self._table.move(transitions.stopping(child, now, reason, failed=failed, healthy=healthy))
        if ref in self._table.runs:
            self._interrupt(ref, self._table.runs[ref])

    def _interrupt(self, ref: str, run: Run) -> None:
        timeout = self._settings.stop_timeout
        patience = patience_of(min(timeout, self._grace))
        run.watchdog.stop(timeout, partial(self._release.look, ref, self._clock(), patience), patience)

    def _exited(self, ref: str) -> None:
        """Handle the end of a process.

        This is the only event handler that acts, because a pidfd stays readable until the process is collected.
        """
        # Processes that it left behind must not send any more. Its own last messages may not have arrived yet.
        self._table.runs[ref].process.kill()
        try:
            self._sessions.hang_up(ref)
        except Exception:
            LOG.exception("%s: the last messages of its process cannot be handled", ref)
        run = self._table.runs.pop(ref)
        self._loop.remove_reader(run.process.pidfd)
        code = run.reap()
        del self._table.refs[run.token]
        self._excuse_lost_lease(ref)
        how = run.end(code, self._table.overrides[ref].memory, is_asked=self._table.is_stopping(ref))
        child = transitions.exited(self.states[ref], how, self._clock(), self._settings.restarts, success=code == 0)
        self._table.move(child)
        if run.cgroup is not None:
            run.cgroup.remove(self._loop)
        self._recorder.ended(child, code, child.reason if child.state is State.BACKOFF else how)
        self._launcher.forget(run.process.pid)
        if child.state is not State.STOPPED:
            # As in StackStorm, an exit that was asked for, as by a reload, is not announced: rules watch for failures.
            self._announce(EXITED, {"id": ref.partition(".")[2], "timestamp": int(time.time()), "exit_code": code})
        self._ended(child, code)

    def _excuse_lost_lease(self, ref: str) -> None:
        """Count an unexpected exit as a requested stop if the lease is lost: the warden may have killed the sensor."""
        try:
            self._tenure.fence_of(ref)
        except LeaseLost:
            if not self._table.is_stopping(ref):
                self._table.move(transitions.stopping(self.states[ref], self._clock(), OVER))

    def _set_log_level(self, ref: str, run: Run) -> None:
        run.log_level = self._table.log_level(ref)
        run.output.set_level(run.log_level if self._table.overrides[ref].log_level else logging.NOTSET)
