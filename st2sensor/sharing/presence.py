"""One container's membership: it joins, renews its lease in time, and joins again if it has lost the lease."""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from st2sensor.errors import StorageUnavailable
from st2sensor.models import Member, Renewal
from st2sensor.sharing.clocks import Clock, Moment, Term
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.identity import Identity
from st2sensor.sharing.times import times_of
from st2sensor.storage.base import Leases

LOG = logging.getLogger("st2sensor.sharing")

UNANSWERED = 100
"""Maximum number of tokens of unanswered renewals that are remembered: as many as are sent within four leases."""

NOTICE = 1.5
"""Number of ticks after which every member has seen an announcement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A member's intentions, which it stores when it renews.

    :param handing: whether it is about to hand sensors over.
    :param leaving: whether it is about to hand over all of them.
    """

    handing: bool = False
    leaving: bool = False


class Presence:
    """For one thread.

    :param profile: the member as it joins, without an id.
    :ivar extended: called as soon as the end of the held leases changes.
    """

    def __init__(self, leases: Leases, profile: Member, holdings: HeldLeases, identity: Identity, clock: Clock) -> None:
        self._leases = leases
        self._profile = profile
        self._holdings = holdings
        self._identity = identity
        self._clock = clock
        self._times = times_of(profile.lease)
        self.extended: Callable[[], None] = lambda: None
        self.id = ""
        """The member's id; empty while this container is not a member."""
        self.announced = Announcement()
        """The intentions in the last renewal."""
        self.renew_at = 0.0
        """When the next renewal is due, by the boot clock."""
        self.losses = 0
        """Number of times that all leases were lost because they were not renewed in time."""
        self._announced_at = 0.0
        self._lost_ids: set[str] = set()
        """Ids under which this container was a member before it lost its lease."""
        self._holds_term = False
        """Whether a term has begun since the last loss."""
        self._has_warned_of_jump = False
        self._counter = 0
        """This member's counter as of its last renewal."""
        self._unanswered: deque[str] = deque(maxlen=UNANSWERED)
        """Tokens of renewals since then, each of which may or may not have been carried out."""

    def stay(self, announcement: Announcement) -> str:
        """Join if this container is not a member, or renew if a renewal is due.

        If the membership was lost, joins again and returns the reason in words. Otherwise returns empty text.
        """
        if not self.id:
            self._join()
            return ""
        if not self._holdings.is_certain:
            self._warn_of_jump()
        elif self._clock().boot < self.renew_at and announcement == self.announced:
            return ""
        why = self._renew(announcement)
        if why:
            LOG.warning("%s; this container joins again", why)
            self.losses += 1
            self._holdings.lose()
            self._holds_term = False
            # Another container may be running under this id, so this one must not evict it.
            self._lost_ids.add(self.id)
            self.id = ""
            self._join()
        return why

    def is_announced(self, *, alone: bool) -> bool:
        """Return whether every other member knows the announced intentions.

        :param alone: whether there is no other member.
        """
        return alone or self._clock().boot >= self._announced_at + NOTICE * self._times.tick

    def close(self) -> None:
        """Leave, unless some leases are still held, and close the database. Raises StorageError."""
        with closing(self._leases):
            if self.id and not self._holdings.fences:
                self._leases.forget(self.id)

    def _join(self) -> None:
        earlier = [member for member in self._identity.earlier() if member not in self._lost_ids]
        self._leases.prepare()
        new = secrets.token_hex(12)
        # The id is stored first: if joining seems to fail but was carried out, the next attempt evicts this member.
        self._identity.note([*earlier, new])
        asked_at = self._clock()
        self._leases.join(replace(self._profile, id=new, started=time.time(), seen=time.time()))
        # The eviction comes last: if others saw this node without a member, they would take its sensors.
        for member in earlier:
            self._leases.evict(member, None)
        self._identity.note([new])
        self.id, self._counter = new, 0
        self._unanswered.clear()
        self.announced = Announcement()
        self._extend(asked_at)
        LOG.info("shares sensors as %s, with a lease of %g s", self._profile.node, self._profile.lease)

    def _renew(self, announcement: Announcement) -> str:
        """Renew the lease. Returns why it was lost, in words; empty if it was renewed."""
        while True:
            asked_at = self._clock()
            token = secrets.token_hex(8)
            self._unanswered.append(token)
            renewal = Renewal(
                counter=self._counter,
                token=token,
                sensors=len(self._holdings.fences),
                handing=announcement.handing,
                leaving=announcement.leaving,
            )
            try:
                if self._leases.renew(self.id, renewal):
                    break
            except StorageUnavailable as error:
                if not error.uncertain:
                    self._unanswered.pop()
                raise
            stored = self._leases.member(self.id)
            if stored is None or stored.dead:
                return "this container was taken for dead, because it did not renew its lease in time"
            if stored.token not in self._unanswered:
                return (
                    "another container runs under this one's identity: this machine was cloned, or restored from a "
                    "snapshot"
                )
            # An earlier renewal was carried out, but its answer was lost. Its time is unknown, so renew once more.
            self._counter = stored.counter
            self._unanswered.clear()
        self._counter += 1
        self._unanswered.clear()
        self._extend(asked_at)
        if announcement != self.announced:
            self.announced, self._announced_at = announcement, self._clock().boot
        return ""

    def _extend(self, asked_at: Moment) -> None:
        if self._holds_term and not self._holdings.seconds_left:
            self.losses += 1
        self._holds_term, self._has_warned_of_jump = True, False
        self.renew_at = asked_at.boot + self._times.tick
        # The term begins before the renewal, because others may see the renewal as soon as it is requested.
        self._holdings.extend(Term(since=asked_at, seconds=self._times.term, tolerance=self._times.tolerance))
        self.extended()

    def _warn_of_jump(self) -> None:
        if not self._has_warned_of_jump:
            jump = self._holdings.jump
            LOG.warning(
                "the wall clock has moved by %+.1f s: it was changed, or this host was paused; the container renews "
                "its lease before it does anything else",
                jump,
            )
        self._has_warned_of_jump = True
