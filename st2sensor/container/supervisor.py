"""The supervisor: one asyncio loop in the main thread that makes what runs be what should run.

Event handlers (exits, announcements, signals) record what happened and wake the loop; only the loop acts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.desired import membership
from st2sensor.container.desired.membership import Membership
from st2sensor.container.desired.refresh import Refresh
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.desired.snapshot_reader import SnapshotReader
from st2sensor.container.launch import cgroup
from st2sensor.container.launch.assignment import launch_of, socket_of
from st2sensor.container.launch.foreground import Foreground
from st2sensor.container.launch.spec import Inherited, LaunchSpec
from st2sensor.container.launch.zygotes import Zygotes
from st2sensor.container.operators.control import Control
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.operators.interface import MakePage, OperatorInterface, tell_dispatched
from st2sensor.container.operators.neighbours import Neighbours
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.container.operators.reporter import Reporter, Sources
from st2sensor.container.operators.usage import Sampler
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.endpoint import Endpoints
from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.release import Release
from st2sensor.container.sessions.wrapper_methods import WrapperMethods
from st2sensor.container.supervision.child import Child, State, summary
from st2sensor.container.supervision.children import Children, ChildrenHooks
from st2sensor.container.supervision.plan import Action, ActionKind, next_due, plan
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.systemd import Systemd
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.event import event_of
from st2sensor.errors import ConfigError, DatastoreError, LeaseLost, OutboxError, SensorNotFound, St2SensorError
from st2sensor.logs import setup as logs
from st2sensor.models import CORE_PACK, Overrides, SensorType, Trigger, TriggerInstance
from st2sensor.packs.configuration.templates import FUNCTIONS
from st2sensor.portable.keyspace import Asker
from st2sensor.settings import Settings
from st2sensor.sharing.held_leases import Unshared
from st2sensor.sharing.participant import Participant
from st2sensor.sharing.partition import provider_of
from st2sensor.storage.base import Storage
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool

LOG = logging.getLogger("st2sensor.container")

ORPHAN_INTERVAL = 1.0
"""Seconds until what had to wait for its turn is looked at again, though nothing happened."""

ALLOW = "allow"

ANNOUNCE = 1.0
"""Seconds that the others have to be told that this container leaves."""

GONE = 3.0
"""Seconds until what was killed has to be gone."""

WAKE_DELAY = 0.02
"""Seconds in which changes are gathered before one look at all sensors, while there is more to do than may be done at
once; and ends of processes before one look for strangers."""


class Supervisor:
    """What runs.

    :param threads: where storage is used, because it blocks.
    :param sensors: what they inherit.
    :param only: run this sensor alone, and end with its exit code.
    :param foreground: give that sensor this terminal, and all the time it wants.
    :param make_page: makes the server of the status page; None for none.
    :param participant: takes part where containers share sensors; None where they do not.

    Raises ConfigError for partitions that are wrong.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        catalogue: Catalogue,
        pipeline: Pipeline,
        threads: Executor,
        *,
        state_dir: Path,
        sensors: Inherited,
        only: str | None = None,
        foreground: bool = False,
        make_page: MakePage | None = None,
        participant: Participant | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._pipeline = pipeline
        self._dispatcher = pipeline.dispatcher
        self._state_dir = state_dir
        self._inherited = sensors
        self._only = only
        self._foreground = foreground
        self._make_page = make_page
        self._participant = participant
        self._membership: Membership | None = None
        self._clock = clock
        # Files are read in a thread of their own: those for storage may all be waiting for a database that is away.
        self._files = Threads(1, "files")
        self._storage = storage
        self._refresh = Refresh(
            SnapshotReader(
                storage,
                provider_of({} if only else settings.container.partition_provider, settings.container.node_name),
                state_dir / "known.json",
            ),
            threads,
            settings.container.resync_interval,
            learned=self._learn,
            ended=self._changed,
            clock=clock,
        )
        self._snapshot: Snapshot | None = None
        self._digests: dict[str, str] = {}
        """Of the sensors that are this node's, or any one's where they are shared."""
        self._needs: dict[str, tuple[str, ...]] | None = None
        """The labels that a node must have to run these; None while they are not known."""
        self._desired: dict[str, str] = {}
        """Digests of what should run here now."""
        self._wake = asyncio.Event()
        self._held_back = False
        self._complaint = ""
        """What last went wrong without being foreseen."""
        self._stopping = False
        self._strangers: asyncio.TimerHandle | None = None
        self._exit_code = 0

    async def run(self) -> int:
        """Supervise until a signal says stop; returns the exit code. Raises ConfigError and SensorNotFound."""
        loop = asyncio.get_running_loop()
        self._assemble(loop)
        self._hear_signals(loop)
        systemd = Systemd(loop, os.environ)
        try:
            self._membership = self._member()
            await self._management.open(self._state_dir)
            if not self._foreground:
                # There somebody may be thinking at a breakpoint.
                self._hangs.follow(loop)
            while not self._stopping:
                self._take_turn(systemd)
                await self._sleep()
        finally:
            systemd.stopping()
            await self._stop_all()
            await self._dispatcher.finish()
            systemd.close()
            await self._management.close()
            await self._close()
        return self._exit_code

    def _take_turn(self, systemd: Systemd) -> None:
        """Look, and act. What goes wrong without being foreseen ends nothing: it is tried again in a moment."""
        try:
            self._refresh.look_when_stale()
            self._reconcile()
            if self._refresh.has_looked and not self._held_back:
                systemd.ready()
            systemd.status(summary(self._children.states.values()))
        except St2SensorError:
            raise
        except Exception as exception:
            self._held_back = True
            if repr(exception) != self._complaint:
                LOG.exception("what runs may not be what should run; it is tried again")
            self._complaint = repr(exception)
        else:
            self._complaint = ""

    def _assemble(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the parts, of which some need the loop."""
        self._cgroups = cgroup.delegated()
        self._launcher: Zygotes | Foreground = Foreground(self._inherited) if self._foreground else self._forking(loop)
        hooks = ChildrenHooks(
            launch=self._launch,
            blocking=self._in_files,
            let_go=lambda *asked: self._letting_go.look(*asked),
            hang_up=lambda ref: self._requests.hang_up(ref),
            emit=self.emit,
            unwanted=lambda ref: self._membership.unwanted(ref) if self._membership else "",
            changed=self._changed,
            ended=self._ended,
        )
        events = Broadcast()
        recorder = Recorder(events, None if self._only else self._settings.container.restarts, self._clock)
        self._children = Children(self._settings.container, self._launcher, hooks, recorder, self._clock)
        self._storing = DatabaseCalls(loop, self._storage.ping, self._settings.datastore.timeout)
        keyring = Keyring(self._settings.key_values)
        self._workers = Pool(FUNCTIONS)
        self._assignments = Assignments(self._settings, self._storage, keyring, self._in_files, self._workers)
        keys = SensorKeys(self._storage, keyring)
        calls = LeasedCalls(self._storing, self._participant.holdings if self._participant else Unshared(), self)
        enabled = self._settings.datastore.emit_triggers
        announcer = Announcer(loop, self._dispatcher, self.emit, enabled=enabled)
        event_methods = EventMethods(self, self._dispatcher)
        batches = Batches(self, keys, calls, self._dispatcher, event_methods.entry_of, announcer)
        self._datastore = DatastoreMethods(self, keys, calls, batches, announcer)
        user = self._settings.system_user
        self._requests = WrapperMethods(self, self._children, event_methods, self._datastore, user=user)
        self._endpoints = Endpoints(loop, self._requests)
        self._letting_go = Release(self._requests, self._pipeline.outbox.withdraw, self._release, self._clock)
        self._hangs = Hangs(self._children, self._requests, self._poll_interval, self._clock)
        self._neighbours = Neighbours(self._state_dir, is_alone=self._only is not None)
        self._operations = Operations(
            self._children,
            self._dispatcher,
            lambda: self._desired,
            self._refresh.now,
            self._requests.tell_log_level,
            self._neighbours,
        )
        recent_logs = RecentLogs(loop, events)
        reporter = Reporter(self._settings, self._sources(recorder), self._pipeline, self._in_files, self._clock)
        self._management = OperatorInterface(
            Control(self._operations, reporter, recent_logs, events),
            recent_logs,
            recorder,
            control_group=self._settings.container.control_group,
            page=None if self._make_page is None else self._make_page(reporter, events),
        )
        self._pipeline.traffic.watch(partial(tell_dispatched, events))

    def _member(self) -> Membership | None:
        if self._participant is None:
            return None
        hooks = membership.MembershipHooks(
            wanted=lambda: self._needs,
            alive=lambda: self._children.alive,
            changed=self._choose,
            over=self._stop_at_once,
            limit=self._launcher.limit,
        )
        return Membership(self._participant, hooks)

    def _hear_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked)
        # In the foreground it means that the terminal is closed.
        loop.add_signal_handler(signal.SIGHUP, self._stop_asked if self._foreground else self.mark_stale)
        loop.add_signal_handler(signal.SIGUSR1, logs.reopen)
        # Whoever runs this loop has put them off until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
        # uvloop does not give SIGCHLD away; it runs handlers that are set past it in its turn.
        signal.signal(signal.SIGCHLD, lambda *_: loop.call_soon(self._look_for_strangers))

    async def _close(self) -> None:
        self._hangs.close()
        self._endpoints.close()
        await self._refresh.close()
        self._storing.close()
        self._assignments.close()
        self._workers.close()
        await self._datastore.close()
        self._launcher.close()
        if self._cgroups is not None:
            self._cgroups.clear()
        self._files.shutdown()

    def mark_stale(self) -> None:
        """Something may have changed: look into storage at the next opportunity. For the loop's thread."""
        self._refresh.mark_stale()
        self._wake.set()

    # What wrappers ask for: the Node of Requests.

    async def assignment(self, ref: str) -> dict[str, Any]:
        assert self._snapshot is not None
        sensor = self._snapshot.sensors.get(ref)
        if sensor is None:
            raise SensorNotFound(f"sensor {ref} is not registered any more")
        if self._participant is not None or self._snapshot.may_have_batches(ref):
            try:
                await self._datastore.carry_out_batches(ref)
            except (DatastoreError, LeaseLost, OutboxError) as exception:
                LOG.warning("%s: what it has begun to store is carried out later: %s", ref, exception)
        assignment, secrets = await self._assignments.of(sensor)
        self._children.conceal(ref, secrets)
        self._dispatcher.conceal(ref, secrets)
        fence = None if self._participant is None else self._participant.holdings.fence_of(ref)
        return assignment | {"log_level": self._children.log_level(ref), "fence": fence}

    def triggers_of(self, ref: str) -> list[Trigger]:
        return [] if self._snapshot is None else self._snapshot.triggers_of(ref)

    async def refresh(self) -> None:
        await self._refresh.now()

    def _release(self, ref: str, before: float) -> None:
        """A sensor that stops waits no longer for checks of what it dispatches, and for the database."""
        self._dispatcher.withdraw(ref)
        self._datastore.release(ref, before)

    def _poll_interval(self, ref: str) -> float | None:
        sensor = self._snapshot.sensors.get(ref) if self._snapshot else None
        return None if sensor is None else sensor.poll_interval or None

    # What the datastore's methods ask for: the Node of DatastoreMethods.

    def asker(self, ref: str) -> Asker:
        overrides = self._children.overrides_of(ref)
        common = self._settings.datastore
        return Asker(
            sensor=ref,
            writes_global=(overrides.global_write or common.global_write) == ALLOW,
            decrypts_global=(overrides.decrypt_global or common.decrypt_global) == ALLOW,
        )

    def is_stopping(self, ref: str) -> bool:
        child = self._children.states.get(ref)
        return self._stopping or (child is not None and child.state is State.STOPPING)

    def _forking(self, loop: asyncio.AbstractEventLoop) -> Zygotes:
        return Zygotes(
            loop,
            self._state_dir / "zygotes",
            socket_of(self._state_dir, None),
            self._inherited,
            None if self._cgroups is None else self._cgroups.prefix,
        )

    def _overrides_of(self, ref: str, known: Snapshot) -> Overrides:
        found = known.overrides_of(ref)
        if not self._foreground:
            return found
        return replace(found, setup_timeout=0.0, poll_timeout=0.0, trigger_timeout=0.0)

    def _sources(self, recorder: Recorder) -> Sources:
        return Sources(
            known=lambda: self._snapshot,
            desired=lambda: self._desired,
            database=lambda: self._refresh.health if self._storing.health.ok else self._storing.health,
            membership=lambda: self._membership,
            children=self._children,
            hangs=self._hangs,
            recorder=recorder,
            sampler=Sampler(self._in_files, self._clock),
        )

    # The loop's steps.

    def _reconcile(self) -> None:
        if self._snapshot is None:
            return
        states = self._children.states
        if self._only is not None and not self._desired and not states:
            raise SensorNotFound(f"sensor {self._only} is not registered: check the name, or run st2ctl reload")
        todo = plan(self._desired, states, self._clock(), self._settings.container.changes_at_once)
        self._held_back = todo.held_back
        failures = [error for action in todo.actions if (error := self._try_to_act(action, self._snapshot))]
        if failures:
            raise failures[0]

    def _try_to_act(self, action: Action, known: Snapshot) -> Exception | None:
        """Act for one sensor; what is wrong with it keeps no other from its own."""
        try:
            self._act(action, known)
        except Exception as exception:  # noqa: BLE001 (raised when the others had their turn)
            return exception
        return None

    def _act(self, action: Action, known: Snapshot) -> None:
        ref = action.ref
        if action.do is ActionKind.START:
            self._pipeline.outbox.welcome(ref)
            self._neighbours.check(ref)
            overrides = self._operations.overridden(ref, self._overrides_of(ref, known))
            self._children.start(known.sensors[ref], overrides, self._desired[ref])
        elif action.do is ActionKind.FORGET:
            self._children.forget(ref)
        else:
            reason = "it has changed" if action.do is ActionKind.RESTART else self._why_unwanted(ref)
            self._children.stop(ref, reason)

    def _why_unwanted(self, ref: str) -> str:
        if self._membership is None or ref not in self._digests:
            return "it is disabled or unregistered"
        return self._membership.why_not(ref)

    async def _sleep(self) -> None:
        """Until something happens, a start falls due, or it is time to look into storage unasked."""
        now = self._clock()
        if self._held_back:
            until = now + ORPHAN_INTERVAL
        else:
            due = next_due(self._children.states)
            until = self._refresh.look_at if due is None else min(due, self._refresh.look_at)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, until - now))
        if self._held_back:
            await asyncio.sleep(WAKE_DELAY)
        self._wake.clear()

    async def _stop_all(self) -> None:
        if self._membership is not None:
            # Who is told later takes the sensors a little later; these have to stop in time.
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCE):
                    await self._membership.announce()
        self._pipeline.outbox.give_up_waiting()
        self._storing.give_up()
        alive = self._children.alive
        if alive:
            LOG.info("stopping %d sensors", len(alive))
        for ref in alive:
            if self._children.states[ref].state is not State.STOPPING:
                self._children.stop(ref, "the container stops")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.container.stop_timeout + GONE):
                while self._children.alive:
                    await self._wake.wait()
                    self._wake.clear()
        if self._children.alive:
            LOG.error("%s cannot be ended, not even by SIGKILL: the container ends", ", ".join(self._children.alive))
        if self._membership is not None:
            await self._membership.close()

    # What happens.

    def _changed(self) -> None:
        self._wake.set()

    def _choose(self) -> None:
        """Which sensors are to run here has changed, or what they are started from."""
        desired = self._digests
        if self._membership is not None:
            # Under another fence a sensor is another one: the process that had the earlier one must not go on.
            runs = self._membership.runs
            desired = {ref: f"{digest}.{runs[ref]}" for ref, digest in desired.items() if ref in runs}
            self._membership.poke()
        self._desired = desired
        self._wake.set()

    def _stop_at_once(self, reason: str) -> None:
        for ref in self._children.alive:
            if self._children.states[ref].state is not State.STOPPING:
                self._children.stop(ref, reason)
        self._children.kill_all()

    def _learn(self, known: Snapshot) -> None:
        self._snapshot = known
        self._digests = known.desired(self._only)
        self._needs = {ref: known.needs_of(ref) for ref in self._digests}
        self._choose()
        self._catalogue.learn(known.trigger_types.values(), known.triggers.values(), known.refusals.values())
        self._requests.tell_triggers()
        self._management.keep_only(frozenset(known.sensors))
        for ref in self._children.states:
            self._operations.override(ref, self._overrides_of(ref, known))

    def _ended(self, child: Child, code: int) -> None:
        if self._only is not None and child.state is not State.STOPPED:
            self._exit_code = code if code >= 0 else 128 - code
            self._stopping = True
        if self._membership is not None:
            self._membership.poke()
        self._look_for_strangers()
        self._wake.set()

    def _look_for_strangers(self) -> None:
        if self._strangers is None:
            self._strangers = asyncio.get_running_loop().call_later(WAKE_DELAY, self._reap_strangers)

    def _reap_strangers(self) -> None:
        self._strangers = None
        if not self._launcher.reap_strangers(self._children.process_ids()):
            self._look_for_strangers()

    def _stop_asked(self) -> None:
        if self._stopping:
            # Asked twice: no more patience.
            self._children.kill_all()
        self._stopping = True
        self._wake.set()

    # What children need.

    async def _launch(self, sensor: SensorType, overrides: Overrides, token: str) -> LaunchSpec:
        launch: LaunchSpec = await self._in_files(
            lambda: launch_of(sensor, overrides, token, self._settings, self._state_dir, self._cgroups)
        )
        try:
            self._endpoints.ensure(launch.socket, launch.limits["user"])
        except (OSError, ConfigError):
            if launch.cgroup is not None:
                launch.cgroup.remove(asyncio.get_running_loop())
            raise
        return launch

    async def _in_files(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._files, call)

    def emit(self, trigger: str, payload: dict[str, Any]) -> None:
        trigger_type = self._catalogue.type_of(trigger)
        if trigger_type is not None:
            # The container's own events fit by their making.
            fits = self._catalogue.digest_of(trigger_type)
            event = event_of(TriggerInstance(trigger=trigger, payload=payload), schema=fits)
            self._dispatcher.dispatch(CORE_PACK, event, _unheard)


def _unheard(error: Exception | None) -> None:
    if error is not None:
        LOG.error("%s", error)
