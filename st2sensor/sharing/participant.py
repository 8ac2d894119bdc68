"""One container's part in sharing sensors: it renews its lease, watches others, and takes, moves and releases sensors.

See docs/sharing.md for the protocol. The container calls `turn` repeatedly, in a separate thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from st2sensor.errors import StorageError
from st2sensor.models import Lease, Member
from st2sensor.sharing.clocks import Clock, now
from st2sensor.sharing.failure_detector import FailureDetector
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.lease_view import LeaseView
from st2sensor.sharing.moves import Moves
from st2sensor.sharing.presence import Announcement, Presence
from st2sensor.sharing.times import FAST, times_of
from st2sensor.storage.base import Leases

LOG = logging.getLogger("st2sensor.sharing")

FORGOTTEN_AFTER = 60
"""Number of lease times after which an evicted member is forgotten, if it holds nothing."""

TAKEN_AT_ONCE = 1000
"""Maximum number of leases taken in one turn."""

SOON = 1.0
"""Seconds until all leases are read again after another member has taken some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInput:
    """The container's state before a turn.

    :param wanted: the sensors that some container should run, with the labels they need.
    :param busy: sensors that have a process here, or may get one during the turn.
    :param leaving: whether the container is stopping.
    """

    wanted: Mapping[str, tuple[str, ...]]
    busy: frozenset[str]
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """The result of a turn.

    :param members: all known members, including dead ones.
    :param drained: names of drained nodes.
    :param leases: leases by sensor, as of the last time that all were read.
    :param moving: sensors that this container must stop so that others can take them.
    :param wait: seconds until the next turn.
    :param announced: whether every member knows that this container is leaving.
    :param evicted: why all leases were lost, in words; empty unless that happened in this turn.
    :param takeovers: number of leases taken from dead members.
    :param moves: number of leases handed over.
    :param losses: number of times that all leases were lost because they were not renewed in time.
    """

    members: tuple[Member, ...] = ()
    drained: frozenset[str] = frozenset()
    leases: Mapping[str, Lease] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()
    wait: float = 0.0
    announced: bool = False
    evicted: str = ""
    takeovers: int = 0
    moves: int = 0
    losses: int = 0


class Participant:
    """For one thread.

    :param profile: the member as it joins, without an id.
    :param moves_at_once: maximum number of sensors that are handed over at the same time.
    :param settle: returns whether all dispatched events are on disk; leases are released only then.
    """

    def __init__(
        self,
        leases: Leases,
        profile: Member,
        holdings: HeldLeases,
        identity: Identity,
        *,
        moves_at_once: int,
        settle: Callable[[], bool],
        clock: Clock = now,
    ) -> None:
        self.holdings = holdings
        self.times = times_of(profile.lease)
        self._leases = leases
        self._node = profile.node
        self._lease = profile.lease
        self._settle = settle
        self._clock = clock
        self._presence = Presence(leases, profile, holdings, identity, clock)
        self._detector = FailureDetector()
        self._moves = Moves(moves_at_once)
        self._view = LeaseView()
        self._read_all_at = 0.0
        """When to read all leases again, by the boot clock."""
        self._settled_at = 0.0
        """When the members that may run sensors last changed."""
        self._moving: frozenset[str] = frozenset()
        """Sensors that the container must stop so that other members can take them."""
        self._released: dict[str, int] = {}
        """Fences to release, by sensor. They are never used again: a release without an answer may happen later."""
        self._has_more = False
        """Whether more leases must be taken after the next renewal."""
        self._namesakes = 0
        """Number of other members seen under this node's name."""
        self._takeovers = self._handed_over = 0

    def turn(self, situation: TurnInput, extended: Callable[[], None] = lambda: None) -> TurnResult:
        """Take one turn.

        Raises StorageError. The changes may have been made nevertheless; the next turn reads them.

        :param extended: called as soon as the end of the held leases changes.
        """
        self._presence.extended = extended
        try:
            return self._turn(situation)
        except StorageError:
            self._read_all_at = 0.0
            raise

    def close(self) -> None:
        """Leave, unless some leases are still held, and close the database. Raises StorageError."""
        self._presence.close()

    def _turn(self, situation: TurnInput) -> TurnResult:
        evicted = self._stay(situation)
        self._look(situation)
        self._has_more = False
        # Renew again if a renewal is due: the reads may have taken long.
        lost = self._stay(situation)
        if not lost:
            self._release(situation)
            if not situation.leaving:
                self._take(situation)
                self._choose_moves(situation)
        is_ready = self._presence.announced.handing and self._is_announced()
        self._moving = self._moves.chosen if is_ready else frozenset()
        return self._result(situation, lost or evicted)

    def _stay(self, situation: TurnInput) -> str:
        """Stay a member. Returns why all leases were lost, in words; empty if they were not."""
        before = self._presence.id
        lost = self._presence.stay(self._announcement(situation))
        if self._presence.id != before:
            self._moving, self._read_all_at = frozenset(), 0.0
        return lost

    def _announcement(self, situation: TurnInput) -> Announcement:
        return Announcement(handing=bool(self._moves.chosen), leaving=situation.leaving)

    # Reading.

    def _look(self, situation: TurnInput) -> None:
        self._see_members()
        for member in self._detector.silent(self._boottime()):
            if member.id == self._presence.id:
                continue
            if self._leases.evict(member.id, member.counter):
                LOG.warning("%s has not renewed its lease, so it counts as dead: others take its sensors", member.node)
            # Even if another member was faster.
            self._see_members()
        if self._boottime() >= self._read_all_at or situation.wanted.keys() - self._view.leases.keys():
            self._read_all_at = self._boottime() + self._lease
            self._see_leases(situation)
        elif self._view.see_free_leases(self._leases.free(self._view.dead), self.holdings.fences.keys()):
            # The new holders are only displayed, so reading them is not urgent.
            self._read_all_at = min(self._read_all_at, self._boottime() + SOON)

    def _see_members(self) -> None:
        members = self._leases.members()
        observed_at = self._boottime()
        self._detector.observe(members, observed_at)
        if self._view.see_members(members, self._leases.drained()):
            self._settled_at = self._read_all_at = observed_at
        self._warn_of_namesakes()

    def _see_leases(self, situation: TurnInput) -> None:
        view, me = self._view, self._presence.id
        view.see_leases(self._leases.leases(), situation.wanted.keys())
        if view.strangers():
            # These members have joined or left since. If the holder of a lease is still not there, the lease is free.
            self._see_members()
        view.find_free()
        mine = view.held_by(me)
        self._released = {ref: fence for ref, fence in self._released.items() if mine.get(ref) == fence}
        # This includes leases that this container has taken although the answer was lost.
        self.holdings.hold({ref: fence for ref, fence in mine.items() if ref not in self._released})
        self.holdings.drop(self.holdings.fences.keys() - mine.keys())
        for member in self._detector.long_dead(self._boottime(), FORGOTTEN_AFTER * self._lease):
            left = view.held_by(member)
            if situation.wanted.keys().isdisjoint(left):
                self._leases.release(left, member)
                self._leases.forget(member)

    def _warn_of_namesakes(self) -> None:
        namesakes = [member for member in self._others() if member.node == self._node]
        if len(namesakes) > self._namesakes:
            LOG.warning(
                "another container, on host %s, uses the same node name %s, so one of them gets no sensors; "
                "give each a [sensorcontainer] sensor_node_name of its own",
                *(namesakes[0].host, self._node),
            )
        self._namesakes = len(namesakes)

    # Taking and releasing.

    def _release(self, situation: TurnInput) -> None:
        over = [
            sensor
            for sensor in self.holdings.fences
            if sensor not in situation.busy
            and (situation.leaving or sensor not in situation.wanted or sensor in self._moving)
        ]
        if over and self._settle():
            self._released |= {sensor: self.holdings.fences[sensor] for sensor in over}
            self.holdings.drop(over)
            self._handed_over += len(self._moving.intersection(over))
        if self._released:
            self._leases.release(self._released, self._presence.id)
            self._view.release(self._released)
            self._released = {}

    def _take(self, situation: TurnInput) -> None:
        due = self._view.due(self._presence.id, situation.wanted, situation.busy)
        if not due:
            return
        self._has_more = len(due) > TAKEN_AT_ONCE
        due = due[:TAKEN_AT_ONCE]
        taken = self._leases.take(due, self._presence.id)
        self._takeovers += self._view.take(taken)
        self.holdings.hold({lease.sensor: lease.fence for lease in taken})
        if taken:
            LOG.info("took %d sensors: %s", len(taken), _some(sorted(lease.sensor for lease in taken)))
        if len(taken) < len(due):
            # Another member was faster. Find out which one.
            self._read_all_at = self._boottime()

    def _choose_moves(self, situation: TurnInput) -> None:
        calm = self._boottime() - self._settled_at >= self.times.calm
        view, held = self._view, self.holdings.fences
        self._moves.choose(self._presence.id, held, view.free, situation.wanted, view.placement, calm=calm)

    # Reporting.

    def _result(self, situation: TurnInput, evicted: str) -> TurnResult:
        return TurnResult(
            members=tuple(self._view.members),
            drained=self._view.drained,
            leases=self._view.leases.copy(),
            moving=self._moving,
            wait=self._wait(situation),
            announced=self._presence.announced.leaving and self._is_announced(),
            evicted=evicted,
            takeovers=self._takeovers,
            moves=self._handed_over,
            losses=self._presence.losses,
        )

    def _wait(self, situation: TurnInput) -> float:
        """Return the seconds until the next turn."""
        announced = self._presence.announced
        if self._has_more or announced != self._announcement(situation):
            return 0.0
        if announced != Announcement() or any(member.handing or member.leaving for member in self._others()):
            return FAST
        renew_at = self._presence.renew_at
        return max(0.0, min(renew_at, self._detector.next_silent() or renew_at) - self._boottime())

    def _is_announced(self) -> bool:
        return self._presence.is_announced(alone=not self._others())

    def _others(self) -> list[Member]:
        return [member for member in self._view.members if member.id != self._presence.id and not member.dead]

    def _boottime(self) -> float:
        """Return the time by the boot clock.

        Other members are observed by this clock alone. If it stands still, they merely get more time.
        """
        return self._clock().boot


def _some(refs: list[str]) -> str:
    return ", ".join(refs[:3]) + (" and others" if len(refs) > 3 else "")
