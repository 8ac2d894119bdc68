"""The members and leases, as one container last read them. Pure: callers pass the data that they have read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from st2sensor.models import Lease, Member
from st2sensor.sharing.placement import Placement


class LeaseView:
    """For one thread."""

    def __init__(self) -> None:
        self.members: Sequence[Member] = ()
        """All known members, including dead ones."""
        self.dead: frozenset[str] = frozenset()
        """Ids of members that no longer hold anything."""
        self.drained: frozenset[str] = frozenset()
        """Names of drained nodes."""
        self.placement = Placement(())
        self.leases: dict[str, Lease] = {}
        """Every lease by sensor."""
        self.free: dict[str, Lease] = {}
        """Leases that no living member holds, by sensor."""

    def see_members(self, members: Sequence[Member], drained: frozenset[str]) -> bool:
        """Record all members as they were read. Returns whether the members that may run sensors have changed."""
        self.members, self.drained = members, drained
        self.dead = frozenset(member.id for member in members if member.dead)
        before = self.placement
        self.placement = Placement(
            member for member in members if not (member.dead or member.leaving or member.node in drained)
        )
        if self.placement.candidates != before.candidates:
            return True
        # Equal candidates have equal targets, and the old placement has already computed some.
        self.placement = before
        return False

    def see_leases(self, leases: Iterable[Lease], wanted: Collection[str]) -> None:
        """Record all leases as they were read. Call `find_free` afterwards.

        :param wanted: sensors, some of which may never have had a lease.
        """
        self.leases = {ref: Lease(sensor=ref) for ref in wanted} | {lease.sensor: lease for lease in leases}

    def strangers(self) -> set[str]:
        """Return the ids of holders that are not among the members."""
        holders = {lease.holder for lease in self.leases.values() if lease.holder is not None}
        return holders.difference(member.id for member in self.members)

    def find_free(self) -> None:
        """Find the free leases. A holder that is not among the members counts as dead."""
        self.dead = self.dead.union(self.strangers())
        self.free = {
            ref: lease for ref, lease in self.leases.items() if lease.holder is None or lease.holder in self.dead
        }

    def see_free_leases(self, leases: Iterable[Lease], held: Collection[str]) -> bool:
        """Record the free leases as they were read. Returns whether another member has taken some.

        :param held: the sensors of this member.
        """
        before = self.free
        never_taken = {ref: lease for ref, lease in before.items() if lease.fence == 0}
        self.free = never_taken | {lease.sensor: lease for lease in leases}
        self.leases |= self.free
        return not (before.keys() - self.free.keys()).issubset(held)

    def held_by(self, member: str) -> dict[str, int]:
        """Return the fences of a member's leases, by sensor."""
        return {ref: lease.fence for ref, lease in self.leases.items() if lease.holder == member}

    def due(self, member: str, wanted: Mapping[str, tuple[str, ...]], busy: Collection[str]) -> list[Lease]:
        """Return the free leases that a member should take.

        :param wanted: sensors that some member should run, with the labels they need.
        :param busy: sensors that still have a process here.
        """
        return [
            lease
            for ref, lease in self.free.items()
            if ref in wanted and ref not in busy and self.placement.target(ref, wanted[ref]) == member
        ]

    def take(self, leases: Iterable[Lease]) -> int:
        """Record leases that a member has just taken. Returns how many of them a dead member held before."""
        taken = {lease.sensor: lease for lease in leases}
        from_the_dead = sum(self.free[ref].holder is not None for ref in taken)
        self.leases |= taken
        self.free = {ref: lease for ref, lease in self.free.items() if ref not in taken}
        return from_the_dead

    def release(self, fences: Mapping[str, int]) -> None:
        """Record that leases have just been released.

        :param fences: their fences, by sensor.
        """
        freed = {sensor: Lease(sensor=sensor, fence=fence) for sensor, fence in fences.items()}
        self.leases |= freed
        self.free |= freed
