"""The supervisor: one asyncio loop in the main thread that makes what runs be what should run.

Event handlers (exits, announcements, signals) record what happened and wake the loop; only the loop acts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.catalogue import Catalogue
from st2sensor.container import child as transitions
from st2sensor.container import knowledge as stored
from st2sensor.container.child import ALIVE, Child, State
from st2sensor.container.endpoint import Endpoint
from st2sensor.container.knowledge import Knowledge
from st2sensor.container.launch import Launch, Launcher, Process
from st2sensor.container.output import Output
from st2sensor.container.reconcile import Action, Do, next_due, plan
from st2sensor.container.requests import Requests
from st2sensor.datastore import Datastore
from st2sensor.dispatch import Dispatcher
from st2sensor.errors import SensorNotFound, StorageError
from st2sensor.models import CORE_PACK, Trigger, TriggerInstance
from st2sensor.packs import config
from st2sensor.packs.code import code_of
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage

LOG = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds between two looks into a database that is away."""

SPAWNED, EXITED = "core.st2.sensor.process_spawn", "core.st2.sensor.process_exit"


@dataclass(slots=True, kw_only=True)
class Running:
    """The process behind a child that is alive."""

    process: Process
    output: Output
    token: str


class Supervisor:
    """What runs.

    :param only: run this sensor alone, and end with its exit code.
    :param before_stop: called before sensors are stopped.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        catalogue: Catalogue,
        dispatcher: Dispatcher,
        launcher: Launcher,
        threads: Executor,
        *,
        state_dir: Path,
        only: str | None = None,
        before_stop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._catalogue = catalogue
        self._dispatcher = dispatcher
        self._launcher = launcher
        self._threads = threads
        self._only = only
        self._before_stop = before_stop
        self._clock = clock
        self._socket = state_dir / "wrapper.sock"
        self._requests = Requests(self, dispatcher, Datastore(storage=storage), user=settings.system_user)
        self._knowledge: Knowledge | None = None
        self._children: dict[str, Child] = {}
        self._running: dict[str, Running] = {}
        self._refs: dict[str, str] = {}
        """Sensor reference by token."""
        self._wake = asyncio.Event()
        self._stale = True
        self._look_at = clock()
        """When to look into storage unasked."""
        self._asked_at = -RETRY
        """When `refresh` last looked."""
        self._refreshing: asyncio.Task[None] | None = None
        self._storage_failed = False
        self._prepared = False
        self._notes = state_dir / "known.json"
        self._noted: Knowledge | None = None
        self._stopping = False
        self._exit_code = 0

    async def run(self) -> int:
        """Supervise until a signal says stop; returns the exit code. Raises ConfigError and SensorNotFound."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked)
        loop.add_signal_handler(signal.SIGHUP, self.mark_stale)
        endpoint = Endpoint(loop, self._socket, self._requests)
        try:
            while not self._stopping:
                self._refresh_when_stale()
                self._reconcile()
                await self._sleep()
        finally:
            await self._stop_all()
            endpoint.close()
            if self._refreshing is not None:
                self._refreshing.cancel()
        return self._exit_code

    def mark_stale(self) -> None:
        """Something may have changed: look into storage at the next opportunity. For the loop's thread."""
        self._stale = True
        self._wake.set()

    # What wrappers ask for: the Node of Requests.

    def sensor_of(self, token: str) -> str | None:
        return self._refs.get(token)

    async def assignment(self, ref: str) -> dict[str, Any]:
        assert self._knowledge is not None
        sensor = self._knowledge.sensors.get(ref)
        if sensor is None:
            raise SensorNotFound(f"sensor {ref} is not registered any more")
        content = self._settings.content
        return {
            "ref": ref,
            "pack": sensor.pack,
            "code": code_of(sensor, content).for_wrapper(),
            "poll_interval": sensor.poll_interval,
            "config": await self.blocking(lambda: config.load(content.configs_path, sensor.pack)),
            "log_level": logging.getLogger().getEffectiveLevel(),
        }

    def is_ready(self, ref: str) -> None:
        self._children[ref] = transitions.ready(self._children[ref], self._clock())

    def triggers_of(self, ref: str) -> list[Trigger]:
        return [] if self._knowledge is None else self._knowledge.triggers_of(ref)

    async def refresh(self) -> None:
        """Look into storage now; a look that began earlier may have missed what the caller knows of.

        At most once in RETRY seconds, so that a sensor which asks for what is not there leaves the database in peace.
        """
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])
        if self._clock() < self._asked_at + RETRY:
            return
        self._asked_at = self._clock()
        self.mark_stale()
        self._refresh_when_stale()
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])

    async def blocking(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    # The loop's steps.

    def _refresh_when_stale(self) -> None:
        if self._stale and (self._refreshing is None or self._refreshing.done()):
            self._stale = False
            interval = self._settings.container.resync_interval
            self._look_at = self._clock() + (min(interval, RETRY) if self._storage_failed else interval)
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        """Read storage; while it is away, what is known goes on."""
        try:
            self._knowledge = await self.blocking(self._read)
        except StorageError as exception:
            if self._knowledge is None:
                self._recall()
            if not self._storage_failed:
                LOG.warning("%s; %s", exception, self._without_storage())
            self._storage_failed = True
            return
        except Exception:
            LOG.exception("what the database holds cannot be used; what was known goes on")
            return
        finally:
            self._wake.set()
        if self._storage_failed:
            LOG.info("the database answers again")
        self._storage_failed = False
        self._learn()

    def _recall(self) -> None:
        """Start with what was known at the last run."""
        self._knowledge = stored.load(self._notes)
        if self._knowledge is not None:
            self._learn()

    def _learn(self) -> None:
        assert self._knowledge is not None
        self._catalogue.learn(self._knowledge.trigger_types.values(), self._knowledge.triggers.values())
        self._requests.tell_triggers()

    def _read(self) -> Knowledge:
        """Read it all, and note it for a start without the database."""
        if not self._prepared:
            self._storage.prepare()
            self._prepared = True
        known = stored.read(self._storage)
        if known != self._noted:
            try:
                stored.save(known, self._notes)
                self._noted = known
            except OSError as exception:
                LOG.warning("cannot note what is known for a start without the database: %s", exception)
        return known

    def _without_storage(self) -> str:
        if self._knowledge is None:
            return "no sensor can start before it answers"
        return (
            "the known sensors run, as of the last look"
            if self._prepared
            else "the sensors of the last run are started"
        )

    def _reconcile(self) -> None:
        if self._knowledge is None:
            return
        desired = self._knowledge.desired(self._only)
        if self._only is not None and not desired and not self._children:
            raise SensorNotFound(f"sensor {self._only} is not registered: check the name, or run st2ctl reload")
        for action in plan(desired, self._children, self._clock()):
            self._act(action, desired)

    def _act(self, action: Action, desired: dict[str, str]) -> None:
        if action.do is Do.START:
            self._start(action.ref, desired[action.ref])
        elif action.do is Do.STOP:
            self._stop(action.ref)
        else:
            del self._children[action.ref]

    def _start(self, ref: str, digest: str) -> None:
        assert self._knowledge is not None
        sensor = self._knowledge.sensors[ref]
        previous = self._children.get(ref)
        failures = previous.failures if previous is not None and previous.digest == digest else 0
        child = self._children[ref] = transitions.starting(ref, digest, self._clock(), failures)
        token = secrets.token_hex(16)
        interpreter = code_of(sensor, self._settings.content).interpreter
        try:
            process = self._launcher.start(Launch(ref=ref, interpreter=interpreter, socket=self._socket, token=token))
        except OSError as exception:
            LOG.error("%s cannot be started with %s: %s", ref, interpreter, exception)
            self._children[ref] = transitions.failed(child, self._clock())
            return
        loop = asyncio.get_running_loop()
        self._refs[token] = ref
        self._running[ref] = Running(process=process, output=Output(loop, process.output, ref), token=token)
        loop.add_reader(process.pidfd, self._exited, ref)
        LOG.info("%s started, pid %d", ref, process.pid)
        payload = {
            "id": sensor.name,
            "timestamp": int(time.time()),
            "pid": process.pid,
            "cmd": process.command,
        }
        self._emit(SPAWNED, payload)

    def _stop(self, ref: str) -> None:
        self._children[ref] = transitions.stopping(self._children[ref], self._clock())
        running = self._running[ref]
        running.process.terminate()
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.container.stop_timeout, self._kill, ref, running)

    def _kill(self, ref: str, running: Running) -> None:
        """The time to stop is over; a sensor that has ended meanwhile, or was started anew, is not meant."""
        if self._running.get(ref) is running:
            LOG.warning("%s did not stop within %g s: killed", ref, self._settings.container.stop_timeout)
            running.process.kill()

    def _exited(self, ref: str) -> None:
        """A process has ended: the only event handler that acts, because a pidfd stays readable until it is reaped."""
        running = self._running.pop(ref)
        asyncio.get_running_loop().remove_reader(running.process.pidfd)
        code = running.process.reap()
        running.output.close()
        del self._refs[running.token]
        child = self._children[ref] = transitions.exited(self._children[ref], code, self._clock())
        self._report(child, code)
        self._emit(EXITED, {"id": ref.partition(".")[2], "timestamp": int(time.time()), "exit_code": code})
        if self._only is not None and child.state is not State.STOPPED:
            self._exit_code = code if code >= 0 else 128 - code
            self._stopping = True
        self._wake.set()

    def _report(self, child: Child, code: int) -> None:
        how = transitions.describe_exit(code)
        if child.state is State.BACKOFF:
            assert child.due is not None
            LOG.info("%s ended with %s, starts again in %.1f s", child.ref, how, child.due - child.since)
        elif child.state is State.FINISHED or code < 0:
            LOG.info("%s %s with %s", child.ref, child.state.value, how)
        else:
            LOG.info("%s stopped", child.ref)

    def _emit(self, trigger: str, payload: dict[str, Any]) -> None:
        if self._dispatcher.knows(trigger):
            self._dispatcher.dispatch(CORE_PACK, TriggerInstance(trigger=trigger, payload=payload), _unheard)

    async def _sleep(self) -> None:
        """Until something happens, a start falls due, or it is time to look into storage unasked."""
        start = next_due(self._children)
        until = self._look_at if start is None else min(start, self._look_at)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, until - self._clock()))
        self._wake.clear()
        self._stale = self._stale or self._clock() >= self._look_at

    def _stop_asked(self) -> None:
        if self._stopping:
            # Asked twice: no more patience.
            for running in self._running.values():
                running.process.kill()
        self._stopping = True
        self._wake.set()

    async def _stop_all(self) -> None:
        self._before_stop()
        alive = [ref for ref, child in self._children.items() if child.state in ALIVE]
        if alive:
            LOG.info("stopping %d sensors", len(alive))
        for ref in alive:
            if self._children[ref].state is not State.STOPPING:
                self._stop(ref)
        while self._running:
            await self._wake.wait()
            self._wake.clear()


def _unheard(error: Exception | None) -> None:
    if error is not None:
        LOG.error("%s", error)
