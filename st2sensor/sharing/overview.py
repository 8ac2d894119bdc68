"""How the nodes that share sensors are, and where a sensor is held: for people. Nothing is decided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from st2sensor.models import Lease, Member
from st2sensor.sharing.times import times_of

UP, LEAVING, DRAINED, SILENT, DEAD = STATES = ("up", "leaving", "drained", "silent", "dead")
"""Of nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """As of one look.

    :param members: all that are known; :param drained: names of nodes.
    :param leases: by sensor.
    """

    members: Sequence[Member]
    drained: frozenset[str]
    leases: Mapping[str, Lease]

    def state_of(self, member: Member, now: float | None = None) -> str:
        """One of STATES.

        :param now: a wall clock's time, by which it is silent; None to leave that to those who declare it dead.
        """
        if member.dead:
            return DEAD
        if now is not None and now - member.seen >= times_of(member.lease).silence:
            return SILENT
        if member.leaving:
            return LEAVING
        return DRAINED if member.node in self.drained else UP

    def nodes(self) -> list[Member]:
        """By name: of containers that died only those whose node has no other, or that hold something still."""
        holders = {lease.holder for lease in self.leases.values()}
        newest = {
            member.node: member.id for member in sorted(self.members, key=lambda one: (not one.dead, one.started))
        }
        shown = [one for one in self.members if not one.dead or one.id in holders or newest[one.node] == one.id]
        return sorted(shown, key=lambda one: (one.node, one.started))

    def holder(self, sensor: str) -> Member | None:
        """The member that holds a sensor; None when nobody does, or one that is dead."""
        lease = self.leases.get(sensor)
        if lease is None or lease.holder is None:
            return None
        return next((one for one in self.members if one.id == lease.holder and not one.dead), None)

    def may_run(self, needs: Sequence[str]) -> bool:
        """Whether there is a node that may run what needs some labels."""
        return any(one.node not in self.drained for one in self._able(needs))

    def why_nobody(self, needs: Sequence[str]) -> str:
        """Why nobody holds a sensor that needs some labels, in words."""
        if not self._staying:
            return "no node is up"
        able = sorted({one.node for one in self._able(needs)})
        if not able:
            has = {label for one in self._staying for label in _labels(one)}
            return "no node has the labels " + ", ".join([label for label in needs if label not in has] or needs)
        if self.drained.issuperset(able):
            return f"the nodes that may run it are drained: {', '.join(able)}"
        return "no node has taken it yet"

    def _able(self, needs: Sequence[str]) -> list[Member]:
        return [one for one in self._staying if _labels(one).issuperset(needs)]

    @property
    def _staying(self) -> list[Member]:
        return [one for one in self.members if not one.dead and not one.leaving]


def _labels(member: Member) -> set[str]:
    return {*member.labels, member.node}
