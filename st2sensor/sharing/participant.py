"""One container's part among those that share sensors: it renews, watches the others, takes, moves and releases.

See docs/sharing.md for the protocol. The container calls `turn` in a thread of its own, again and again.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

from st2sensor.errors import StorageError, StorageUnavailable
from st2sensor.models import Lease, Member, Renewal
from st2sensor.sharing.clocks import Clock, Moment, Term, now
from st2sensor.sharing.failure_detector import FailureDetector
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.moves import Moves
from st2sensor.sharing.placement import Placement
from st2sensor.sharing.times import FAST, times_of
from st2sensor.storage.base import Leases

LOG = logging.getLogger("st2sensor.sharing")

FORGOTTEN_AFTER = 60
"""Leases until a member that was evicted is forgotten, if it holds nothing."""

TAKEN_AT_ONCE = 1000
"""Leases, in one turn."""

SOON = 1.0
"""Seconds until it is looked who has taken a lease."""

UNANSWERED = 100
"""Renewals at most that are known again though their answers were lost: as many as are tried in four leases."""

NOTICE = 1.5
"""Ticks until everybody has seen that a member is about to hand sensors over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInput:
    """What the container tells before a turn.

    :param wanted: the sensors that somebody is to run, with the labels they need.
    :param busy: sensors that have a process here, or may get one before the turn is over.
    :param leaving: whether the container stops.
    """

    wanted: Mapping[str, tuple[str, ...]]
    busy: frozenset[str]
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """What a turn has found.

    :param members: all that are known, the dead too; :param drained: names of nodes.
    :param leases: by sensor, as of the last whole look.
    :param moving: sensors that this container is to stop, for others to take them.
    :param wait: seconds until the next turn.
    :param announced: whether everybody knows that this container leaves.
    :param evicted: why it has lost all and has joined again, in words; empty unless it has.
    :param takeovers: leases that it has taken from the dead; :param moves: those that it has handed over.
    :param losses: how often it has lost all, because it did not renew them in time.
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

    :param profile: what it says of itself when it joins.
    :param moves_at_once: sensors that it hands over at the same time.
    :param settle: whether what was dispatched is on disk: only then are leases released.
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
        self._leases = leases
        self._profile = profile
        self.holdings = holdings
        self._identity = identity
        self._settle = settle
        self._clock = clock
        self.times = times_of(profile.lease)
        self._sightings = FailureDetector()
        self._moves = Moves(moves_at_once)
        self._me = ""
        """Its id; empty while it is no member."""
        self._left_behind: set[str] = set()
        """Ids that it had, and has lost."""
        self._is_extended = False
        """Whether it has held anything since it has lost all."""
        self._doubts = False
        """Whether it was told that the clocks disagree."""
        self._counter = 0
        """Its own, as of its last renewal."""
        self._unanswered: deque[str] = deque(maxlen=UNANSWERED)
        """Tokens of renewals since, which may have been made or not."""
        self._extended: Callable[[], None] = lambda: None
        self._said = (False, False)
        """Whether it has told the others that it hands over, and that it leaves."""
        self._said_at = self._renew_at = self._look_at = 0.0
        self._placement = Placement(())
        self._settled_at = 0.0
        """When the members have last changed."""
        self._members: list[Member] = []
        self._dead: frozenset[str] = frozenset()
        """Ids of members that hold nothing any more."""
        self._drained: frozenset[str] = frozenset()
        self._known: dict[str, Lease] = {}
        """By sensor, as of the last look at all."""
        self._free: dict[str, Lease] = {}
        """Those that nobody holds."""
        self._moving: frozenset[str] = frozenset()
        """Sensors that the container was told to stop, for others to take them."""
        self._released: dict[str, int] = {}
        """Fences that it was to release, and never acts under again: a release whose answer is lost may come later."""
        self._has_more = False
        """Whether there is more to take, after the next renewal."""
        self._namesakes = 0
        """How many others were seen that are called the same."""
        self._takeovers = self._handed_over = self._losses = 0

    def turn(self, situation: TurnInput, extended: Callable[[], None] = lambda: None) -> TurnResult:
        """Raises StorageError: what was to be done may have been done, and is looked at again by the next turn.

        :param extended: called as soon as the holdings have another end.
        """
        self._extended = extended
        try:
            return self._turn(situation)
        except StorageError:
            self._look_at = 0.0
            raise

    def close(self) -> None:
        """Be no member any more, where everything was released, and use the database no more. Raises StorageError."""
        with closing(self._leases):
            if self._me and not self.holdings.fences:
                self._leases.forget(self._me)

    def _turn(self, situation: TurnInput) -> TurnResult:
        evicted = self._stay(situation)
        self._look(situation)
        self._has_more = False
        # Again, because a look may take long.
        if lost := self._stay(situation):
            return self._view(situation, lost)
        self._release(situation)
        if not situation.leaving:
            self._take(situation)
            self._choose_moves(situation)
        return self._view(situation, evicted)

    def _stay(self, situation: TurnInput) -> str:
        """Be a member, and renew when it is time; why it has lost all, and has joined again, or empty."""
        if not self._me:
            self._join()
            return ""
        if not self.holdings.is_certain:
            self._tell_of_jump()
        elif self._boottime() < self._renew_at and self._said == self._to_say(situation):
            return ""
        why = self._renew(situation)
        if why:
            LOG.warning("%s; it joins again", why)
            self._losses += 1
            self.holdings.lose()
            self._is_extended = False
            self._moving = frozenset()
            # Another container may run under it: it is not this one's to evict.
            self._left_behind.add(self._me)
            self._me = ""
            self._join()
        return why

    # Being a member.

    def _join(self) -> None:
        earlier = [member for member in self._identity.earlier() if member not in self._left_behind]
        self._leases.prepare()
        me = secrets.token_hex(12)
        # Before it is there: if joining fails and was done all the same, the next attempt evicts it.
        self._identity.note([*earlier, me])
        asked = self._clock()
        self._leases.join(replace(self._profile, id=me, started=time.time(), seen=time.time()))
        # After it is there: nobody must see the node without a member, and take what is this one's again in a moment.
        for member in earlier:
            self._leases.evict(member, None)
        self._identity.note([me])
        self._me, self._counter = me, 0
        self._unanswered.clear()
        self._said = (False, False)
        self._extend(asked)
        self._look_at = 0.0
        LOG.info("shares sensors as %s, with a lease of %g s", self._profile.node, self._profile.lease)

    def _renew(self, situation: TurnInput) -> str:
        """Why it cannot, and holds nothing any more, in words; empty when it has."""
        saying = handing, leaving = self._to_say(situation)
        while True:
            asked = self._clock()
            token = secrets.token_hex(8)
            self._unanswered.append(token)
            renewal = Renewal(
                counter=self._counter,
                token=token,
                sensors=len(self.holdings.fences),
                handing=handing,
                leaving=leaving,
            )
            try:
                if self._leases.renew(self._me, renewal):
                    break
            except StorageUnavailable as error:
                if not error.uncertain:
                    self._unanswered.pop()
                raise
            known = self._leases.member(self._me)
            if known is None or known.dead:
                return "this container was taken for dead, because it did not renew in time"
            if known.token not in self._unanswered:
                return (
                    "another container runs under this one's identity: this machine was cloned, or restored from a "
                    "snapshot"
                )
            # It was made though its answer was lost. When, is not known: once more.
            self._counter = known.counter
            self._unanswered.clear()
        self._counter += 1
        self._unanswered.clear()
        self._extend(asked)
        if saying != self._said:
            self._said, self._said_at = saying, self._boottime()
        return ""

    def _to_say(self, situation: TurnInput) -> tuple[bool, bool]:
        return bool(self._moves.chosen), situation.leaving

    def _extend(self, asked: Moment) -> None:
        self._losses += self._is_extended and not self.holdings.seconds_left
        self._is_extended, self._doubts = True, False
        self._renew_at = asked.boot + self.times.tick
        # From before the renewal, because others may have seen it as soon as it was asked for.
        self.holdings.extend(Term(since=asked, seconds=self.times.term, tolerance=self.times.tolerance))
        self._extended()

    def _tell_of_jump(self) -> None:
        if not self._doubts:
            jump = self.holdings.jump
            LOG.warning("the wall clock was set, or this host was paused, by %+.1f s: the lease is renewed first", jump)
        self._doubts = True

    # Seeing the others.

    def _look(self, situation: TurnInput) -> None:
        self._see_members()
        for member in self._sightings.silent(self._boottime()):
            if member.id == self._me:
                continue
            if self._leases.evict(member.id, member.counter):
                LOG.warning("%s has not renewed its lease: it counts as dead, and its sensors are taken", member.node)
            # Also when somebody was faster.
            self._see_members()
        if self._boottime() >= self._look_at or situation.wanted.keys() - self._known.keys():
            self._look_at = self._boottime() + self._profile.lease
            self._see_leases(situation)
        else:
            self._see_free_leases()

    def _see_members(self) -> None:
        self._members = self._leases.members()
        now = self._boottime()
        self._sightings.observe(self._members, now)
        self._dead = frozenset(member.id for member in self._members if member.dead)
        self._drained = self._leases.drained()
        placement = Placement(
            member for member in self._members if not (member.dead or member.leaving or member.node in self._drained)
        )
        if placement.candidates != self._placement.candidates:
            self._placement, self._settled_at, self._look_at = placement, now, now
        self._tell_of_namesakes()

    def _see_leases(self, situation: TurnInput) -> None:
        self._known = {ref: Lease(sensor=ref) for ref in situation.wanted}
        self._known |= {lease.sensor: lease for lease in self._leases.leases()}
        holders = {lease.holder for lease in self._known.values() if lease.holder is not None}
        if holders.difference(member.id for member in self._members):
            # They have joined since, or left: a lease that was taken that late is nobody's.
            self._see_members()
            self._dead = self._dead.union(holders.difference(member.id for member in self._members))
        self._free = {lease.sensor: lease for lease in self._known.values() if self._is_free(lease)}
        mine = {lease.sensor: lease.fence for lease in self._known.values() if lease.holder == self._me}
        self._released = {ref: fence for ref, fence in self._released.items() if mine.get(ref) == fence}
        # Also those that were taken though the answer was lost.
        self.holdings.hold({ref: fence for ref, fence in mine.items() if ref not in self._released})
        self.holdings.drop(self.holdings.fences.keys() - mine.keys())
        for member in self._sightings.long_dead(self._boottime(), FORGOTTEN_AFTER * self._profile.lease):
            left = {lease.sensor: lease.fence for lease in self._known.values() if lease.holder == member}
            if situation.wanted.keys().isdisjoint(left):
                self._leases.release(left, member)
                self._leases.forget(member)

    def _see_free_leases(self) -> None:
        before = self._free
        never_taken = {ref: lease for ref, lease in before.items() if lease.fence == 0}
        self._free = never_taken | {lease.sensor: lease for lease in self._leases.free(self._dead)}
        self._known |= self._free
        if before.keys() - self._free.keys() - self.holdings.fences.keys():
            # Somebody has taken them: who, is not urgent.
            self._look_at = min(self._look_at, self._boottime() + SOON)

    def _tell_of_namesakes(self) -> None:
        namesakes = [
            member
            for member in self._members
            if member.node == self._profile.node and member.id != self._me and not member.dead
        ]
        if len(namesakes) > self._namesakes:
            LOG.warning(
                "another container, on %s, is called %s, too, so that one of them takes no sensors; "
                "give each a [sensorcontainer] sensor_node_name of its own",
                *(namesakes[0].host, self._profile.node),
            )
        self._namesakes = len(namesakes)

    # Taking and giving.

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
            self._leases.release(self._released, self._me)
            freed = {sensor: Lease(sensor=sensor, fence=fence) for sensor, fence in self._released.items()}
            self._known |= freed
            self._free |= freed
            self._released = {}

    def _take(self, situation: TurnInput) -> None:
        due = [
            lease
            for ref, lease in self._free.items()
            if ref in situation.wanted
            and ref not in situation.busy
            and self._placement.target(ref, situation.wanted[ref]) == self._me
        ]
        if not due:
            return
        self._has_more = len(due) > TAKEN_AT_ONCE
        due = due[:TAKEN_AT_ONCE]
        taken = {lease.sensor: lease for lease in self._leases.take(due, self._me)}
        self._known |= taken
        self._takeovers += sum(self._free[ref].holder is not None for ref in taken)
        self._free = {ref: lease for ref, lease in self._free.items() if ref not in taken}
        self.holdings.hold({ref: lease.fence for ref, lease in taken.items()})
        if taken:
            LOG.info("takes %d sensors: %s", len(taken), _some(sorted(taken)))
        if len(taken) < len(due):
            # Somebody was faster: see who.
            self._look_at = self._boottime()

    def _choose_moves(self, situation: TurnInput) -> None:
        calm = self._boottime() - self._settled_at >= self.times.calm
        held = self.holdings.fences
        self._moves.choose(self._me, held, self._free, situation.wanted, self._placement, calm=calm)

    def _boottime(self) -> float:
        """Others are observed by this clock alone: that it stands still makes one more patient, not less."""
        return self._clock().boot

    def _is_free(self, lease: Lease) -> bool:
        return lease.holder is None or lease.holder in self._dead

    # What the container is told.

    def _view(self, situation: TurnInput, evicted: str) -> TurnResult:
        now = self._boottime()
        others = [member for member in self._members if member.id != self._me and not member.dead]
        everybody_knows = not others or now >= self._said_at + NOTICE * self.times.tick
        handing, leaving = self._said
        self._moving = self._moves.chosen if handing and everybody_knows else frozenset()
        if self._has_more or self._said != self._to_say(situation):
            wait = 0.0
        elif handing or leaving or any(member.handing or member.leaving for member in others):
            wait = FAST
        else:
            wait = min(self._renew_at, self._sightings.next_silent() or self._renew_at) - now
        return TurnResult(
            members=tuple(self._members),
            drained=self._drained,
            leases=self._known.copy(),
            moving=self._moving,
            wait=max(0.0, wait),
            announced=leaving and everybody_knows,
            evicted=evicted,
            takeovers=self._takeovers,
            moves=self._handed_over,
            losses=self._losses,
        )


def _some(refs: list[str]) -> str:
    return ", ".join(refs[:3]) + (" and others" if len(refs) > 3 else "")
