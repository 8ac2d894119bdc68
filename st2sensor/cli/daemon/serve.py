"""Run a container in this process: put its parts together, run its loop, and shut it down."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

import st2sensor
from st2sensor.api.feed import EventFeed
from st2sensor.cli.daemon.single import check_reference, is_beside_daemon
from st2sensor.cli.daemon.state_dir import held
from st2sensor.container.assembly import assemble
from st2sensor.container.desired.watch import Watch
from st2sensor.container.duplicates import Duplicates, me
from st2sensor.container.launch.spec import Inherited
from st2sensor.container.operators.interface import MakePage
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.parts import Setup
from st2sensor.container.supervisor import Supervisor
from st2sensor.delivery import adoption
from st2sensor.delivery.audience import Audience
from st2sensor.delivery.courses import buried
from st2sensor.delivery.messages import message_of
from st2sensor.delivery.publisher import PublisherThread
from st2sensor.delivery.statsd import open_metrics
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.checker import Checker
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.encoder import Encoder
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import ConfigError
from st2sensor.history.file import NAME
from st2sensor.history.writer import HistoryWriter, NoHistory, Record
from st2sensor.models import Member
from st2sensor.outbox.database.aside import set_aside
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Settings, Sharing
from st2sensor.sharing.held_leases import HeldLeases, Tenure, Unshared
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.participant import Participant
from st2sensor.sharing.times import times_of
from st2sensor.storage import open_leases, open_storage
from st2sensor.system.allocator import map_large_blocks
from st2sensor.system.event_loop import call_in_loop
from st2sensor.system.lazy import resolve
from st2sensor.system.threads import Threads
from st2sensor.transport import open_transport
from st2sensor.transport.codec import introduction
from st2sensor.transport.topology import Topology

if TYPE_CHECKING:
    from st2sensor.push.thread import PushThread

PR_SET_DUMPABLE = 4

LOG = logging.getLogger("st2sensor.container")

FLUSH = 1.0
"""Seconds within which the last triggers must reach the broker during shutdown. All others are sent at the next
start."""

EVERYWHERE = ("", "0.0.0.0", "::")
"""Addresses that stand for all addresses of this host."""

STORAGE_THREADS = 4
"""Threads that access the database."""

SWITCH_INTERVAL = 0.001
"""Seconds that a thread may run while others are waiting."""

PRIVATE_UMASK = 0o027
"""Umask of the container; sensors keep the one that it was started with."""


def serve(settings: Settings, only: str | None, *, set_aside_damaged: bool = False, foreground: bool = False) -> int:
    """Run the container until it is stopped; return the exit code.

    :param only: the only sensor to run; None for all.
    :param set_aside_damaged: rename a damaged outbox and start with an empty one.
    :param foreground: let that sensor use this terminal.

    Raises SensorNotFound, ConfigError, StateDirectoryBusy, OutboxError.
    """
    if only is not None:
        check_reference(settings, only)
    # Signals that arrive before the loop is running wait for it, so that every stop is orderly.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
    # Nobody may read the passwords and the key in memory, not even a sensor that runs as the same user.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    # Loop, writer and publisher share one interpreter. With short turns, a burst in one thread does not delay the
    # others.
    sys.setswitchinterval(SWITCH_INTERVAL)
    # After a large payload has been handled, its memory must go back to the system.
    map_large_blocks()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each sensor needs four file descriptors in this process.
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    # No other user may read the outbox and the embedded database: they hold payloads and values.
    # The variables in env_allowed may hold secrets for configurations, so sensors must not inherit them.
    private = (*settings.container.private_environment, *settings.secrets.env_allowed)
    sensors = Inherited(umask=os.umask(PRIVATE_UMASK), open_files=files, private=private)
    state_dir = settings.container.state_dir / only if only else settings.container.state_dir
    with ExitStack() as stack:
        stack.enter_context(held(state_dir))
        if set_aside_damaged and (aside := set_aside(state_dir / "outbox.db")):
            LOG.warning("the damaged outbox is kept as %s", aside)
        storage = stack.enter_context(closing(open_storage(settings.database)))
        threads = Threads(STORAGE_THREADS, "storage")
        stack.callback(threads.shutdown)
        loop = uvloop.new_event_loop()
        stack.callback(loop.close)

        def record_dead(entries: Sequence[Entry]) -> None:
            history.offer(buried(entries))

        outbox = stack.enter_context(closing(Outbox(state_dir / "outbox.db", settings.outbox, record_dead)))
        history = stack.enter_context(closing(_history(settings, state_dir)))
        push = _push(settings, state_dir) if only is None else None
        catalogue = Catalogue()
        traffic = Traffic()
        sharing = None if only else settings.container.sharing
        holdings = HeldLeases()
        tenure: Tenure = Unshared() if sharing is None else holdings
        checker = Checker(catalogue, settings.payloads)
        stack.callback(checker.close)
        dispatcher = Dispatcher(outbox, catalogue, traffic, checker, validate=settings.payloads.validate, tenure=tenure)
        encoder = Encoder()
        stack.callback(encoder.close)
        transport = open_transport(settings.messaging)
        topology = Topology(settings.messaging.prefix)
        audience = Audience(settings.messaging.serializer, topology.rules_engine)
        delivery = PublisherThread(
            outbox,
            transport,
            lambda entry: message_of(
                entry,
                settings.messaging,
                late=not tenure.is_held(entry.sensor, entry.fence),
                encode=encoder.encode,
            ),
            retry_wait=settings.messaging.retry_wait,
            metrics=open_metrics(settings.metrics),
            traffic=traffic,
            readable=dispatcher.readable,
            audience=audience,
            history=history,
        )
        pipeline = Pipeline(
            dispatcher=dispatcher,
            traffic=traffic,
            outbox=outbox,
            broker=lambda: delivery.health,
            held_back=lambda: delivery.held_back,
            held_of=lambda: delivery.held_by_sensor,
            unrouted_keys=lambda: delivery.unrouted_keys,
            audience=lambda: audience.health,
            history=history,
            push=tuple if push is None else push.reports,
        )
        if push is not None:
            push.start()
            stack.callback(push.close)
        setup = Setup(settings=settings, state_dir=state_dir, sensors=sensors, only=only, foreground=foreground)
        make_page = None if only and is_beside_daemon(settings) else _page(settings, catalogue, state_dir, history)
        participant = _participant(settings, sharing, holdings, outbox, state_dir) if sharing else None

        async def supervise() -> int:
            parts = assemble(setup, storage, catalogue, pipeline, threads, make_page=make_page, participant=participant)
            supervisor = Supervisor(parts)
            watch = Watch(
                transport,
                [topology.sensors, topology.triggers],
                changed=lambda: call_in_loop(loop, supervisor.mark_stale),
                heard=lambda message: call_in_loop(loop, duplicates.hear, message),
                retry_wait=settings.messaging.retry_wait,
            )
            written = partial(introduction, topology, settings.messaging.serializer)
            duplicates = Duplicates(
                me(settings.container.node_name, state_dir),
                parts.targets,
                parts.lifetime,
                introduces=participant is None,
                refresh=parts.refresh.now,
                introduce=lambda headers: watch.say(written(headers), lasting=True),
                answer=lambda headers: watch.say(written(headers), lasting=False),
            )
            watch.start()
            stack.callback(watch.close)
            return await supervisor.run()

        if only is None:
            adoption.start(state_dir, outbox)
        delivery.start()
        stack.callback(delivery.close)
        LOG.info("configured by %s", settings.source)
        # Imported objects stay until the end. Unless they are frozen, the collector postpones a full collection until
        # there are a quarter as many new objects as imported ones.
        gc.collect()
        gc.freeze()
        code = loop.run_until_complete(supervise())
        # The last triggers announce the exits of the sensors.
        outbox.wait_empty(FLUSH)
        if outbox.depth:
            LOG.warning("%d triggers wait in %s for the next start", outbox.depth, state_dir / "outbox.db")
        LOG.info("stopped")
        return code


def _participant(
    settings: Settings, sharing: Sharing, holdings: HeldLeases, outbox: Outbox, state_dir: Path
) -> Participant:
    times = times_of(sharing.lease)
    profile = Member(
        id="",
        node=settings.container.node_name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=st2sensor.__version__,
        capacity=sharing.capacity,
        labels=sharing.labels,
        http=_address(settings.container.http),
        lease=sharing.lease,
    )
    return Participant(
        open_leases(settings.database, timeout=times.term / 3),
        profile,
        holdings,
        Identity(state_dir / "member.json"),
        moves_at_once=sharing.moves_at_once,
        settle=lambda: outbox.wait_committed(times.tick),
    )


def _address(http: tuple[str, int] | None) -> str:
    """Return the address at which other nodes find the status page; empty if there is none."""
    if http is None:
        return ""
    host, port = http
    shown = socket.gethostname() if host in EVERYWHERE else host
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"


def _history(settings: Settings, state_dir: Path) -> Record:
    options = settings.history
    if not options.enable:
        return NoHistory()
    node = settings.container.node_name
    return HistoryWriter(state_dir / NAME, options, durability=settings.outbox.durability, node=node)


def _push(settings: Settings, state_dir: Path) -> PushThread | None:
    """Return the thread that serves push targets; None if there are none. Raises ConfigError.

    Its libraries are loaded only if they are needed.
    """
    if settings.push.targets is None:
        return None
    targets = resolve("st2sensor.push.targets:read")(settings.push.targets)
    if not settings.history.enable:
        raise ConfigError("[push] targets: push sends events of the history: set [history] enable = true")
    if settings.history.payloads != "full":
        LOG.warning("push sends events without payloads, because of [history] payloads = none")
    thread: PushThread = resolve("st2sensor.push.thread:PushThread")(
        targets, state_dir / NAME, state_dir / "push", settings.push
    )
    return thread


def _page(settings: Settings, catalogue: Catalogue, state_dir: Path, history: Record) -> MakePage | None:
    """Return a function that makes the status page's server; None if there is no page.

    The server's libraries take 18 MB and 0.2 s to load.
    """
    container = settings.container
    if container.http is None:
        return None
    server, consumers = resolve("st2sensor.status.server:Server"), resolve("st2sensor.api.consumers:Consumers")
    feed = EventFeed(state_dir / NAME, history.tell) if settings.history.enable else None
    api = consumers(feed, catalogue, needs_token=container.http_token is not None)
    lives = resolve("st2sensor.status.lives:Lives")(settings, state_dir)
    return lambda sources: server(container, sources, api, lives)
