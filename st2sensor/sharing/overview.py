"""The state of the nodes that share sensors, for display. No decision depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from st2sensor.models import Lease, Member
from st2sensor.sharing.times import times_of

UP, LEAVING, DRAINED, SILENT, DEAD = STATES = ("up", "leaving", "drained", "silent", "dead")
"""States of nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Members and leases, read at the same time.

    :param members: all known members, including dead ones.
    :param drained: names of drained nodes.
    :param leases: leases by sensor.
    """

    members: Sequence[Member]
    drained: frozenset[str]
    leases: Mapping[str, Lease]

    def state_of(self, member: Member, now: float | None = None) -> str:
        """Return a member's state, one of STATES.

        :param now: time by the wall clock, to recognize a silent member; None to wait until others have evicted it.
        """
        if member.dead:
            return DEAD
        if now is not None and now - member.seen >= times_of(member.lease).silence:
            return SILENT
        if member.leaving:
            return LEAVING
        return DRAINED if member.node in self.drained else UP

    def nodes(self) -> list[Member]:
        """Return members by name. A dead member is omitted, unless its node has no other, or it still holds a lease."""
        holders = {lease.holder for lease in self.leases.values()}
        dead_first = sorted(self.members, key=lambda member: (not member.dead, member.started))
        newest = {member.node: member.id for member in dead_first}
        shown = [
            member
            for member in self.members
            if not member.dead or member.id in holders or newest[member.node] == member.id
        ]
        return sorted(shown, key=lambda member: (member.node, member.started))

    def holder(self, sensor: str) -> Member | None:
        """Return the living member that holds a sensor; None if there is none."""
        lease = self.leases.get(sensor)
        if lease is None or lease.holder is None:
            return None
        return next((member for member in self.members if member.id == lease.holder and not member.dead), None)

    def may_run(self, needs: Sequence[str]) -> bool:
        """Return whether any node may run a sensor that needs these labels."""
        return any(member.node not in self.drained for member in self._able(needs))

    def why_nobody(self, needs: Sequence[str]) -> str:
        """Explain why no member holds a sensor that needs these labels."""
        if not self._staying:
            return "no node is up"
        able = sorted({member.node for member in self._able(needs)})
        if not able:
            has = {label for member in self._staying for label in _labels(member)}
            return "no node has the labels " + ", ".join([label for label in needs if label not in has] or needs)
        if self.drained.issuperset(able):
            return f"all nodes that may run it are drained: {', '.join(able)}"
        return "no node has taken it yet"

    def _able(self, needs: Sequence[str]) -> list[Member]:
        return [member for member in self._staying if _labels(member).issuperset(needs)]

    @property
    def _staying(self) -> list[Member]:
        return [member for member in self.members if not member.dead and not member.leaving]


def _labels(member: Member) -> set[str]:
    return {*member.labels, member.node}
