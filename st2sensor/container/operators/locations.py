"""Where the shared sensors are, as the container's last turn has found them: for its reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from st2sensor.container.desired.membership import Membership
from st2sensor.reports import ELSEWHERE, WAITING, SharingReport
from st2sensor.sharing.overview import DEAD, DRAINED, LEAVING, UP, Overview

STATES = (UP, LEAVING, DRAINED, DEAD)
"""Of nodes; one that is silent for long is declared dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of a sensor.

    :param node: that holds it; None for nobody.
    :param fence: of its lease.
    :param state: that it has here without a process, and the `reason` for it.
    """

    node: str | None = None
    fence: int | None = None
    state: str = WAITING
    reason: str


class Locations:
    """As of now; for the loop's thread.

    :param node: what this one is called.
    """

    def __init__(self, membership: Membership, node: str) -> None:
        view = membership.view
        self._membership = membership
        self._node = node
        self._standing = Overview(members=view.members, drained=view.drained, leases=view.leases)

    def of(self, ref: str, needs: tuple[str, ...]) -> Place:
        """:param needs: the labels that a node must have to run it."""
        if ref in self._membership.held:
            reason = self._membership.why_not(ref)
            if self._membership.seconds_left == 0.0:
                return Place(reason=reason)
            return Place(node=self._node, fence=self._membership.held[ref], reason=reason)
        holder = self._standing.holder(ref)
        if holder is not None:
            fence = self._standing.leases[ref].fence
            return Place(node=holder.node, fence=fence, state=ELSEWHERE, reason=f"node {holder.node} holds it")
        if not self._standing.members:
            return Place(reason="it is not known yet which node holds it")
        return Place(reason=self._standing.why_nobody(needs))

    def report(self, wanted: Mapping[str, tuple[str, ...]]) -> SharingReport:
        """:param wanted: the sensors that some node is to run, with the labels they need."""
        view, nodes = self._membership.view, Counter(map(self._standing.state_of, self._standing.nodes()))
        return SharingReport(
            nodes={state: nodes[state] for state in STATES},
            drained=self._node in view.drained,
            sensors=len(wanted),
            held=len(self._membership.held) if self._membership.seconds_left else 0,
            unheld=sum(self.of(ref, needs).node is None for ref, needs in wanted.items()),
            lease_left=self._membership.seconds_left,
            takeovers=view.takeovers,
            moves=view.moves,
            losses=view.losses,
        )
