"""The sensors of this node: their states, the processes behind them, and what becomes of these."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.container.sessions.activity import Activity
from st2sensor.container.sessions.release import patience_of
from st2sensor.container.supervision import child as transitions
from st2sensor.container.supervision import memory
from st2sensor.container.supervision.child import ALIVE, Child, State, describe_exit
from st2sensor.container.supervision.output import Output
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.run import MAIN, TRIGGERS, Run
from st2sensor.errors import St2SensorError
from st2sensor.models import Overrides, SensorType
from st2sensor.settings import Container
from st2sensor.sharing.times import times_of

LOG = logging.getLogger("st2sensor.supervision")

CANNOT_START = 127
"""Exit code, as a shell has it, of what was no process."""

PRINTING = 0.2
"""Seconds that a sensor has to print where its threads are, before it is stopped."""

SPAWNED, EXITED = "core.st2.sensor.process_spawn", "core.st2.sensor.process_exit"


class Launcher(Protocol):
    """What starts processes."""

    async def start(self, launch: LaunchSpec) -> Handle:
        """Start a wrapper. Raises OSError when that cannot be done."""

    def forget(self, group: int) -> None:
        """A process group is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenHooks:
    """What the node has to do with it.

    :param launch: what a sensor is started with, given its token. Raises St2SensorError and OSError.
    :param blocking: runs a blocking call elsewhere.
    :param let_go: called when a sensor is asked to stop, and again and again until it has, with when that was and how
        long its calls may wait: answers those that have waited for so long.
    :param hang_up: hears a sensor's sessions out, and ends them.
    :param emit: announces a trigger of the container's own.
    :param unwanted: why a sensor must not run here any more, in words; empty for one that may.
    :param changed: called when a state has changed without being asked for.
    :param ended: called with the state and the exit code, negative for a signal, of each process that has ended.
    """

    launch: Callable[[SensorType, Overrides, str], Awaitable[LaunchSpec]]
    blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    let_go: Callable[[str, float, float], None]
    hang_up: Callable[[str], None]
    emit: Callable[[str, dict[str, Any]], None]
    unwanted: Callable[[str], str]
    changed: Callable[[], None]
    ended: Callable[[Child, int], None]


class Children:
    """For the loop's thread."""

    def __init__(
        self,
        settings: Container,
        launcher: Launcher,
        hooks: ChildrenHooks,
        recorder: Recorder,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        sharing = settings.sharing
        self._grace = settings.stop_timeout if sharing is None else times_of(sharing.lease).grace
        """Seconds that a sensor may have to stop in, at least: before its lease is over, where sensors are shared."""
        self._launcher = launcher
        self._hooks = hooks
        self._recorder = recorder
        self._clock = clock
        self._states: dict[str, Child] = {}
        self._running: dict[str, Run] = {}
        self._overrides: dict[str, Overrides] = {}
        self._refs: dict[str, str] = {}
        """Sensor reference by token."""
        self._births: dict[str, asyncio.Future[None]] = {}
        """Processes that are on their way, by token."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, Child]:
        return self._states

    @property
    def alive(self) -> list[str]:
        """Those that have a process, or will have one in a moment."""
        return [ref for ref, child in self._states.items() if child.state in ALIVE]

    def overrides_of(self, ref: str) -> Overrides:
        """What an operator has set for a sensor that was started."""
        return self._overrides[ref]

    def with_process(self) -> list[str]:
        """Those that have a process."""
        return list(self._running)

    def activity_of(self, ref: str) -> Activity | None:
        """What a sensor is in; None for one without a process."""
        return self._running[ref].activity if ref in self._running else None

    def process_ids(self) -> set[int]:
        return {running.process.pid for running in self._running.values()}

    def process_id(self, ref: str) -> int | None:
        """Of a sensor that has a process."""
        return self._running[ref].process.pid if ref in self._running else None

    # What the supervisor decides.

    def start(self, sensor: SensorType, overrides: Overrides, digest: str) -> None:
        """Start a sensor; what cannot be started is tried again like one that failed."""
        ref = sensor.ref
        previous = self._states.get(ref)
        same = previous is not None and previous.digest == digest
        failures, reason = (previous.failures, "it is due again") if same and previous else (0, "it is new or changed")
        self._move(transitions.starting(ref, digest, self._clock(), failures, reason))
        self._overrides[ref] = overrides
        task = asyncio.get_running_loop().create_task(self._start(sensor, overrides))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, ref: str, reason: str) -> None:
        """Ask a sensor to stop; when the time is over it is killed."""
        self._recorder.stops(ref, reason)
        self._stop(ref, reason, failed=False)

    def start_now(self, ref: str) -> None:
        """A sensor that has no process does not wait for its next start."""
        self._move(transitions.unwaited(self._states[ref], self._clock(), "an operator starts it"))
        self._hooks.changed()

    def forget(self, ref: str) -> None:
        """A sensor that does not run is not wanted any more."""
        del self._states[ref]
        self._overrides.pop(ref, None)

    def kill_all(self) -> None:
        for running in self._running.values():
            running.process.kill()

    def override(self, ref: str, overrides: Overrides) -> int | None:
        """Take on what may change while a sensor runs; returns the level of its log, if the sensor is to be told."""
        self._overrides[ref] = overrides
        running = self._running.get(ref)
        if running is None or running.log_level == self.log_level(ref):
            return None
        self._set_log_level(ref, running)
        return running.log_level

    # What wrappers say.

    async def sensor_of(self, token: str) -> str | None:
        """The sensor whose wrapper says hello; one may say it before the news of its birth is here."""
        awaited = self._births.get(token)
        if awaited is not None:
            await asyncio.wait([awaited])
        ref = self._refs.get(token)
        if ref is not None:
            self._running[ref].greeted = True
        return ref

    def log_level(self, ref: str) -> int:
        """The least severe level of a sensor's records that is logged."""
        name = self._overrides[ref].log_level
        return logging.getLogger().getEffectiveLevel() if name is None else logging.getLevelNamesMapping()[name]

    def conceal(self, ref: str, secrets: frozenset[str]) -> None:
        """What a sensor was told in confidence is masked where it says it."""
        if ref in self._running:
            self._running[ref].output.conceal(secrets)

    def is_ready(self, ref: str) -> None:
        """setup() is entered."""
        self._move(transitions.ready(self._states[ref], self._clock()))
        self._enters(ref, "setup()", _chosen(self._overrides[ref].setup_timeout, self._settings.setup_timeout))
        self._hooks.changed()

    def is_set_up(self, ref: str) -> None:
        """setup() has returned."""
        self._leaves(ref, "setup()")

    def ends(self, ref: str) -> None:
        """cleanup() is entered; if nobody asked the sensor to stop, from now on it has so long."""
        if ref in self._running:
            self._running[ref].activity.is_left()
        self._enters(ref, "cleanup()", self._settings.stop_timeout)

    def polls(self, ref: str, running: bool, interval: float | None) -> None:
        """A poll() begins, or is over.

        :param interval: seconds between two of them, where the sensor tells.
        """
        self._recorder.polls(ref, running)
        if running:
            self._enters(ref, "poll()", _chosen(self._overrides[ref].poll_timeout, self._settings.poll_timeout))
        else:
            self._leaves(ref, "poll()")
        if interval is not None and ref in self._running:
            self._running[ref].activity.poll_interval = interval

    def hears(self, ref: str, method: str, running: bool) -> None:
        """add_trigger(), or one of its like, begins, or is over."""
        if running:
            limit = _chosen(self._overrides[ref].trigger_timeout, self._settings.trigger_timeout)
            self._enters(ref, f"{method}()", limit, TRIGGERS)
        else:
            self._leaves(ref, f"{method}()", TRIGGERS)

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        """A record of the sensor's."""
        if ref in self._running:
            self._running[ref].output.record(name, level, message)

    def _enters(self, ref: str, method: str, limit: float | None, thread: str = MAIN) -> None:
        if ref in self._running:
            self._running[ref].activity.begins(method, self._clock())
        self._expect(ref, method, limit, thread)

    def _leaves(self, ref: str, method: str, thread: str = MAIN) -> None:
        if ref in self._running:
            self._running[ref].activity.ends(method)
        self._expect(ref, method, None, thread)

    # The life of a process.

    async def _start(self, sensor: SensorType, overrides: Overrides) -> None:
        token = secrets.token_hex(16)
        launch = None
        birth = self._births[token] = asyncio.get_running_loop().create_future()
        try:
            launch = await self._hooks.launch(sensor, overrides, token)
            if self._states[sensor.ref].state is State.STOPPING:
                raise OSError("it is not wanted any more")
            process = await self._launcher.start(launch)
        except Exception as error:
            if not isinstance(error, (OSError, St2SensorError)):
                LOG.exception("%s cannot be started", sensor.ref)
            if launch is not None and launch.cgroup is not None:
                launch.cgroup.remove(asyncio.get_running_loop())
            self._not_started(sensor.ref, f"cannot be started: {error}")
        else:
            self._started(sensor, launch, process)
        finally:
            del self._births[token]
            birth.set_result(None)

    def _not_started(self, ref: str, reason: str) -> None:
        child = self._states[ref]
        if child.state is State.STOPPING:
            # STOPPING -> STOPPED
            child = transitions.exited(child, reason, self._clock(), self._settings.restarts, success=False)
        else:
            child = transitions.backing_off(child, reason, self._clock(), self._settings.restarts)
        self._move(child)
        self._recorder.cannot_start(child)
        self._hooks.ended(child, CANNOT_START)

    def _started(self, sensor: SensorType, launch: LaunchSpec, process: Handle) -> None:
        ref = sensor.ref
        loop = asyncio.get_running_loop()
        output = Output(loop, process.output, ref, process.pid, self._settings.output_rate, self._recorder)
        running = self._running[ref] = Run(loop, process, output, launch.token, launch.cgroup)
        self._refs[launch.token] = ref
        self._set_log_level(ref, running)
        loop.add_reader(process.pidfd, self._exited, ref)
        self._recorder.started(ref, process.pid)
        payload = {"id": sensor.name, "timestamp": int(time.time()), "pid": process.pid, "cmd": process.command}
        self._hooks.emit(SPAWNED, payload)
        if self._states[ref].state is State.STOPPING:
            # It was not wanted any more before it was there.
            self._interrupt(ref, running)
            return
        self._expect(ref, "the way to setup()", self._overrides[ref].start_timeout or self._settings.start_timeout)
        limited_by_kernel = launch.cgroup is not None and launch.cgroup.limits_memory
        if self._overrides[ref].memory is not None and not limited_by_kernel:
            running.watch(loop.create_task(self._watch_memory(ref, running)))

    def _stop(self, ref: str, reason: str, *, failed: bool) -> None:
        child, now = self._states[ref], self._clock()
        healthy = transitions.is_healthy(child, now, self._settings.restarts)
        self._move(transitions.stopping(child, now, reason, failed=failed, healthy=healthy))
        if ref in self._running:
            self._interrupt(ref, self._running[ref])

    def _interrupt(self, ref: str, running: Run) -> None:
        patience, asked_at = self._settings.stop_timeout, self._clock()
        waits = patience_of(min(patience, self._grace))

        def overdue() -> None:
            self._recorder.insisted(ref, patience)
            running.process.kill()

        running.stop(patience, overdue)
        running.let_go(waits, lambda: self._hooks.let_go(ref, asked_at, waits))

    def _expect(self, ref: str, what: str, seconds: float | None, thread: str = MAIN) -> None:
        running = self._running.get(ref)
        if running is None or self._states[ref].state is State.STOPPING:
            return

        def stop() -> None:
            if self._running.get(ref) is running and self._states[ref].state is not State.STOPPING:
                self._recorder.stacks(ref, running.output.stacks)
                self._stop(ref, f"was stopped because {what} took more than {seconds:g} s", failed=True)

        def overdue() -> None:
            self._recorder.overdue(ref, f"{what} has taken more than {seconds:g} s")
            if running.greeted:
                running.output.expect_stacks()
                running.process.dump_stacks()
                # Any of its threads may be the one that prints them, and the stop ends the process.
                asyncio.get_running_loop().call_later(PRINTING, stop)
            else:
                stop()

        running.expect(thread, seconds, overdue)

    async def _watch_memory(self, ref: str, running: Run) -> None:
        while True:
            await asyncio.sleep(memory.INTERVAL)
            limit = self._overrides[ref].memory
            try:
                used = await self._hooks.blocking(lambda: memory.used_by(running.process.pid))
            except Exception as error:  # noqa: BLE001 (it is looked at again)
                LOG.error("%s: its memory cannot be told for now: %r", ref, error)
                continue
            if limit is not None and used > limit and self._states[ref].state is not State.STOPPING:
                reason = (
                    f"was killed because it used {memory.shown(used)} of memory, more than its {memory.shown(limit)}"
                )
                self._stop(ref, reason, failed=True)
                running.process.kill()
                return

    def _exited(self, ref: str) -> None:
        """A process has ended: the only event handler that acts, because a pidfd stays readable until it is reaped."""
        # What it has left behind must not go on talking, and what it has said itself is still on its way.
        self._running[ref].process.kill()
        try:
            self._hooks.hang_up(ref)
        except Exception:
            LOG.exception("%s: what its process has said last cannot be used", ref)
        running = self._running.pop(ref)
        asyncio.get_running_loop().remove_reader(running.process.pidfd)
        code = running.reap()
        del self._refs[running.token]
        self._expect_end(ref)
        asked = self._states[ref].state is State.STOPPING
        how = f"ended with {describe_exit(code)}"
        if running.was_out_of_memory:
            how = f"was killed because it used more memory than its {memory.shown(self._overrides[ref].memory or 0)}"
        elif code != 0 and not asked and running.output.last_error:
            how = f"{how} ({running.output.last_error})"
        child = transitions.exited(self._states[ref], how, self._clock(), self._settings.restarts, success=code == 0)
        self._move(child)
        if running.cgroup is not None:
            running.cgroup.remove(asyncio.get_running_loop())
        self._recorder.ended(child, code, child.reason if child.state is State.BACKOFF else how)
        self._launcher.forget(running.process.pid)
        self._hooks.emit(EXITED, {"id": ref.partition(".")[2], "timestamp": int(time.time()), "exit_code": code})
        self._hooks.ended(child, code)

    def _expect_end(self, ref: str) -> None:
        """Who has killed a sensor that must not run here any more, the warden perhaps, was right."""
        reason = self._hooks.unwanted(ref)
        if reason and self._states[ref].state is not State.STOPPING:
            self._move(transitions.stopping(self._states[ref], self._clock(), reason))

    def _move(self, child: Child) -> None:
        self._states[child.ref] = child
        self._recorder.moved(child)

    def _set_log_level(self, ref: str, running: Run) -> None:
        running.log_level = self.log_level(ref)
        running.output.set_level(running.log_level if self._overrides[ref].log_level else logging.NOTSET)


def _chosen(override: float | None, common: float | None) -> float | None:
    """A limit of time; 0 overrides it with none."""
    return (common if override is None else override) or None
