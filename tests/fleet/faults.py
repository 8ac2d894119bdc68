"""Faults for a fleet, in a sequence that a seed determines: each is injected, held for a while, and undone."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import combinations

from tests.fleet.checker import Span
from tests.fleet.ledger import now
from tests.fleet.network import OTHERS, Network
from tests.fleet.node import Node
from tests.fleet.replica_set import ELECTION, ReplicaSet

LOG = logging.getLogger(__name__)

DATABASE = "database"
"""The target of faults that all containers notice."""

RECOVERY = 3 * ELECTION
"""Seconds after a fault of the database within which all containers may have lost and retaken their leases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """:param target: a container's name, or DATABASE; :param begin: seconds after the first; :param hold: seconds."""

    kind: str
    target: str
    begin: float
    hold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A fault that was injected and undone; times are by CLOCK_BOOTTIME."""

    fault: Fault
    span: Span


def plan(chance: random.Random, containers: Sequence[str], count: int, seconds: float, lease: float) -> list[Fault]:
    """Return a number of faults, spread over the time."""
    faults = []
    for number in range(count):
        kind = chance.choice(list(KINDS))
        target = DATABASE if kind in OF_DATABASE else chance.choice(containers)
        begin = (number + chance.random()) * seconds / count
        low, high = HOLD[kind]
        faults.append(Fault(kind=kind, target=target, begin=begin, hold=lease * chance.uniform(low, high)))
    return faults


@dataclass(kw_only=True)
class Storm:
    """Injects faults: one at a time into a target, and never into all containers at once."""

    nodes: dict[str, Node]
    network: Network
    replica_set: ReplicaSet
    effects: list[Effect] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def blow(self, faults: Sequence[Fault]) -> None:
        """Inject all faults; return once the last one is undone."""
        began = time.monotonic()
        threads = []
        for fault in faults:
            time.sleep(max(0.0, began + fault.begin - time.monotonic()))
            with self._changed:
                self._changed.wait_for(lambda: self._may(fault))  # noqa: B023 (used up in this round)
                self._busy.add(fault.target)
            threads.append(threading.Thread(target=self._do, args=(fault,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _may(self, fault: Fault) -> bool:
        afflicted = (self._busy | {fault.target}) - {DATABASE}
        return fault.target not in self._busy and (len(afflicted) < len(self.nodes) or not self._busy)

    def _do(self, fault: Fault) -> None:
        begin = now()
        LOG.info("%.3f: %s, %s, for %.1f s", begin, fault.target, fault.kind, fault.hold)
        try:
            with KINDS[fault.kind](self, fault):
                time.sleep(fault.hold)
        except Exception as error:
            LOG.exception("%s, %s", fault.target, fault.kind)
            self.errors.append(f"{fault.target}, {fault.kind}: {error!r}")
        effect = Effect(fault=fault, span=(begin, now()))
        LOG.info("%.3f: %s, %s, is over", effect.span[1], fault.target, fault.kind)
        self.effects.append(effect)
        with self._changed:
            self._busy.discard(fault.target)
            self._changed.notify_all()


@contextmanager
def killed(storm: Storm, fault: Fault) -> Iterator[None]:
    """Kill the container's own process with SIGKILL, and start it again."""
    node = storm.nodes[fault.target]
    node.kill()
    yield
    node.start()


@contextmanager
def gone(storm: Storm, fault: Fault) -> Iterator[None]:
    """Kill all processes of a container with SIGKILL, and start it again."""
    node = storm.nodes[fault.target]
    node.kill_all()
    yield
    node.start()


@contextmanager
def stopped(storm: Storm, fault: Fault) -> Iterator[None]:
    """Stop a container cleanly, and start it again."""
    node = storm.nodes[fault.target]
    code = node.stop()
    yield
    node.start()
    if code != 0:
        raise RuntimeError(f"exit code {code}")


@contextmanager
def paused(storm: Storm, fault: Fault) -> Iterator[None]:
    """Send the container's own process SIGSTOP, and later SIGCONT."""
    node = storm.nodes[fault.target]
    node.pause()
    yield
    node.resume()


@contextmanager
def frozen(storm: Storm, fault: Fault) -> Iterator[None]:
    """Send all processes of a container SIGSTOP, and later SIGCONT."""
    node = storm.nodes[fault.target]
    node.pause_all()
    yield
    node.resume_all()


def cut(*targets: str) -> Callable[[Storm, Fault], AbstractContextManager[None]]:
    """Make a container's links lose everything, and later work again."""

    @contextmanager
    def severed(storm: Storm, fault: Fault) -> Iterator[None]:
        for target in targets:
            storm.network.cut(fault.target, target)
        yield
        for target in targets:
            storm.network.heal(fault.target, target)

    return severed


@contextmanager
def stepped_down(storm: Storm, fault: Fault) -> Iterator[None]:  # noqa: ARG001 (as all faults)
    """Make another member of the replica set its primary."""
    storm.replica_set.step_down()
    yield
    storm.replica_set.primary()


@contextmanager
def primary_killed(storm: Storm, fault: Fault) -> Iterator[None]:  # noqa: ARG001 (as all faults)
    """Kill the replica set's primary with SIGKILL, and start it again."""
    member = storm.replica_set.primary()
    member.kill()
    yield
    member.start()


KINDS: dict[str, Callable[[Storm, Fault], AbstractContextManager[None]]] = {
    "kill -9": killed,
    "kill -9 of all": gone,
    "stop": stopped,
    "pause": paused,
    "pause of all": frozen,
    "cut of db": cut("db"),
    "cut of mq": cut("mq"),
    "cut of both": cut("db", "mq"),
    "cut of others": cut(OTHERS),
    "step down": stepped_down,
    "kill -9 of mongod": primary_killed,
}

OF_DATABASE = {"step down", "kill -9 of mongod"}
HARMLESS = {"cut of mq", "cut of others"}
"""Faults during which sensors keep running."""
CUT_FROM_BROKER = {"cut of mq", "cut of both"}

# How long faults are held, in leases. A pause is longer than one lease: another container has taken over when it ends.
HOLD = {
    **dict.fromkeys(KINDS, (0.2, 2.0)),
    "pause": (1.2, 2.5),
    "pause of all": (1.2, 2.5),
    "step down": (0.0, 0.1),
}


def excused(effects: Sequence[Effect], lease: float) -> list[Span]:
    """Return when nothing is promised: while the database has no primary, and while two containers are hit at once.

    Sensors that a fault stops run again one lease after it began; those that its end stops, one lease after its end.
    """
    of_database = [found.span for found in effects if found.fault.target == DATABASE]
    spans = [(begin, end + RECOVERY) for begin, end in of_database]
    others = [found for found in effects if found.fault.target != DATABASE and found.fault.kind not in HARMLESS]
    for first, second in combinations(others, 2):
        begin, end = max(first.span[0], second.span[0]), min(first.span[1], second.span[1]) + lease
        if first.fault.target != second.fault.target and begin < end:
            spans.append((begin, end))
    return spans


def cuts(effects: Sequence[Effect]) -> list[Span]:
    """Return when a container could not reach the broker."""
    return [found.span for found in effects if found.fault.kind in CUT_FROM_BROKER]
