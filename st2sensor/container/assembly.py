"""Builds a container: makes every part, from the bottom up, and gives each the parts that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.desired.membership import Membership, MembershipHooks
from st2sensor.container.desired.refresh import Refresh
from st2sensor.container.desired.snapshot_reader import SnapshotReader
from st2sensor.container.expectations import Counts, Expectations
from st2sensor.container.launch import cgroup
from st2sensor.container.launch.cgroup import Cgroups
from st2sensor.container.launch.foreground import Foreground
from st2sensor.container.launch.launcher import Launcher
from st2sensor.container.launch.preparation import Preparation, socket_of
from st2sensor.container.launch.reaper import Reaper
from st2sensor.container.launch.zygotes import Zygotes
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.node import Node
from st2sensor.container.operators.control_methods import Control
from st2sensor.container.operators.hangs import Hangs
from st2sensor.container.operators.interface import MakePage, OperatorInterface, PageSources, tell_dispatched
from st2sensor.container.operators.neighbours import Neighbours
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.container.operators.reporter import Reporter, Sources
from st2sensor.container.operators.usage import Sampler
from st2sensor.container.parts import Parts, Setup
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.endpoint import Endpoints
from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.release import Release
from st2sensor.container.sessions.secret_watch import SecretWatch
from st2sensor.container.sessions.wrapper_methods import WrapperMethods
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.supervision.children import Children
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.wrapper_reports import WrapperReports
from st2sensor.container.targets import Targets
from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.packs.configuration.templates import FUNCTIONS
from st2sensor.secrets.sources import SecretSources
from st2sensor.sharing.held_leases import Tenure, Unshared
from st2sensor.sharing.participant import Participant
from st2sensor.sharing.partition import provider_of
from st2sensor.storage.base import Storage
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool


def assemble(
    setup: Setup,
    storage: Storage,
    catalogue: Catalogue,
    pipeline: Pipeline,
    threads: Executor,
    *,
    make_page: MakePage | None = None,
    participant: Participant | None = None,
) -> Parts:
    """Build the parts of a container, inside its running loop. Raises ConfigError for invalid partitions.

    :param threads: the threads that use storage, because storage blocks.
    :param make_page: makes the server of the status page; None if there is no page.
    :param participant: this container's part in sharing sensors; None if sensors are not shared.
    """
    loop = asyncio.get_running_loop()
    settings, clock, dispatcher = setup.settings, setup.clock, pipeline.dispatcher
    wake = asyncio.Event()
    lifetime = Lifetime(wake, only=setup.only is not None)
    targets = Targets(wake, only=setup.only, unlimited=setup.foreground)
    tenure: Tenure = Unshared() if participant is None else participant.holdings
    partitions = {} if setup.only else settings.container.partition_provider
    refresh = Refresh(
        SnapshotReader(storage, provider_of(partitions, settings.container.node_name), setup.state_dir / "known.json"),
        threads,
        settings.container.resync_interval,
        learned=targets.learn,
        ended=wake.set,
        clock=clock,
    )
    # Files are read in a thread of their own: all threads for storage may be waiting for an unreachable database.
    file_threads = Threads(1, "files")
    blocking = _in_threads(file_threads)

    broadcast = Broadcast()
    recorder = Recorder(broadcast, None if setup.only else settings.container.restarts, clock)
    table = ChildTable(recorder)
    reports = WrapperReports(table, settings.container, recorder, wake, clock)

    keyring = Keyring(settings.key_values)
    keyring.tell_unusable()
    workers = Pool(FUNCTIONS)

    def start_waiting(ref: str) -> None:
        """Start a sensor that waits for its next attempt."""
        child = children.states.get(ref)
        if child is not None and child.state is State.BACKOFF:
            children.start_now(ref)

    secrets = SecretWatch(
        SecretSources(settings.secrets, settings.container.private_environment, in_container=True),
        settings.secrets.refresh_interval,
        changed=targets.rotate,
        readable=start_waiting,
    )
    targets.listen(lambda snapshot: secrets.keep_only(snapshot.sensors.keys()))
    assignments = Assignments(settings, storage, keyring, blocking, workers, secrets)
    node = Node(
        settings.datastore,
        lifetime,
        targets,
        table,
        refresh,
        assignments,
        catalogue,
        dispatcher,
        tenure,
        is_shared=participant is not None,
    )
    event_methods = EventMethods(node, dispatcher)
    keys = SensorKeys(storage, keyring)
    database_calls = DatabaseCalls(loop, storage.ping, settings.datastore.timeout)
    leased_calls = LeasedCalls(database_calls, tenure, node)
    announcer = Announcer(loop, dispatcher, node.emit, enabled=settings.datastore.emit_triggers)
    batches = Batches(node, keys, leased_calls, dispatcher, event_methods.entry_of, announcer)
    datastore = DatastoreMethods(node, keys, leased_calls, batches, announcer)
    methods = WrapperMethods(node, reports, event_methods, datastore, user=settings.system_user)
    endpoints = Endpoints(loop, methods)

    def release(ref: str, before: float) -> None:
        """Release the calls of a stopping sensor that are waiting for checks of its events, or for the database."""
        dispatcher.withdraw(ref)
        datastore.release(ref, before)

    cgroups = cgroup.delegated()
    launcher, reaper = _launcher(setup, loop, table, cgroups)

    def ended(child: Child, code: int) -> None:
        lifetime.ended(child, code)
        if targets.membership is not None:
            targets.membership.poke()
        if reaper is not None:
            reaper.schedule()
        wake.set()

    children = Children(
        loop,
        settings.container,
        table,
        recorder,
        preparation=Preparation(settings, setup.state_dir, cgroups, endpoints, blocking),
        launcher=launcher,
        sessions=methods,
        release=Release(methods, pipeline.outbox.withdraw, release, clock),
        blocking=blocking,
        announce=node.emit,
        tenure=tenure,
        wake=wake,
        ended=ended,
        clock=clock,
    )
    hangs = Hangs(table, methods, targets.poll_interval, clock)

    def counts(ref: str) -> Counts:
        past = recorder.of(ref)
        return pipeline.traffic.of(ref).dispatched, past.polls - past.failed_polls

    expectations = Expectations(
        threads,
        storage,
        desired=lambda: targets.desired,
        expected=lambda ref: targets.overrides_of(ref).expect,
        counts=counts,
        emit=node.emit,
        clock=clock,
    )
    neighbours = Neighbours(setup.state_dir, is_alone=setup.only is not None)
    operations = Operations(
        children, dispatcher, lambda: targets.desired, refresh.now, methods.tell_log_level, neighbours
    )
    sources = Sources(
        known=lambda: targets.snapshot,
        desired=lambda: targets.desired,
        database=lambda: refresh.health if database_calls.health.ok else database_calls.health,
        membership=lambda: targets.membership,
        page=lambda: interface.page_health,
        children=children,
        hangs=hangs,
        silence_of=expectations.silence_of,
        recorder=recorder,
        sampler=Sampler(blocking, clock),
    )
    recent_logs = RecentLogs(loop, broadcast)
    reporter = Reporter(settings, sources, pipeline, blocking, clock)
    interface = OperatorInterface(
        Control(operations, reporter, recent_logs, broadcast),
        recent_logs,
        recorder,
        control_group=settings.container.control_group,
        page=None
        if make_page is None
        else make_page(
            PageSources(
                reporter=reporter,
                events=broadcast,
                recent_logs=recent_logs,
                state_dir=setup.state_dir,
                blocking=blocking,
            )
        ),
    )
    pipeline.traffic.watch(partial(tell_dispatched, broadcast))
    if participant is not None:
        targets.membership = _membership(participant, targets, children, launcher)
    return Parts(
        setup=setup,
        wake=wake,
        lifetime=lifetime,
        targets=targets,
        refresh=refresh,
        catalogue=catalogue,
        pipeline=pipeline,
        children=children,
        launcher=launcher,
        reaper=reaper,
        cgroups=cgroups,
        methods=methods,
        datastore=datastore,
        database_calls=database_calls,
        endpoints=endpoints,
        assignments=assignments,
        workers=workers,
        hangs=hangs,
        expectations=expectations,
        neighbours=neighbours,
        operations=operations,
        interface=interface,
        file_threads=file_threads,
    )


def _launcher(
    setup: Setup, loop: asyncio.AbstractEventLoop, table: ChildTable, cgroups: Cgroups | None
) -> tuple[Launcher, Reaper | None]:
    if setup.foreground:
        return Foreground(setup.sensors), None
    zygotes = Zygotes(
        loop,
        setup.state_dir / "zygotes",
        socket_of(setup.state_dir, None),
        setup.sensors,
        None if cgroups is None else cgroups.prefix,
    )
    return zygotes, Reaper(loop, zygotes, table.process_ids)


def _membership(participant: Participant, targets: Targets, children: Children, launcher: Launcher) -> Membership:
    def over(reason: str) -> None:
        children.stop_all(reason)
        children.kill_all()

    hooks = MembershipHooks(
        wanted=lambda: targets.needs,
        alive=lambda: children.alive,
        changed=targets.choose,
        over=over,
        limit=launcher.limit,
    )
    return Membership(participant, hooks)


def _in_threads(threads: Executor) -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    async def blocking(call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, call)

    return blocking
