"""The nodes that hold shared sensors, for reports, as of this container's last turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from st2sensor.container.desired.membership import Membership
from st2sensor.reports import ELSEWHERE, WAITING, SharingReport
from st2sensor.sharing.overview import DEAD, DRAINED, LEAVING, UP, Overview

STATES = (UP, LEAVING, DRAINED, DEAD)
"""States of nodes in reports. A node that stays silent is declared dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a sensor.

    :param node: the node that holds it; None if none does.
    :param fence: the fence of its lease.
    :param state: the sensor's state on this node while it has no process here.
    :param reason: why the sensor has no process here.
    """

    node: str | None = None
    fence: int | None = None
    state: str = WAITING
    reason: str


BY_PARTITION = Place(state=ELSEWHERE, reason="another node runs it, according to partition_provider")


class Locations:
    """A view of the current membership. For the loop's thread.

    :param node: the name of this node.
    """

    def __init__(self, membership: Membership, node: str) -> None:
        view = membership.view
        self._membership = membership
        self._node = node
        self._overview = Overview(members=view.members, drained=view.drained, leases=view.leases)

    def of(self, ref: str, needs: tuple[str, ...]) -> Place:
        """Return the place of a sensor.

        :param needs: the labels that a node must have to run it.
        """
        if ref in self._membership.held:
            reason = self._membership.why_not(ref)
            if self._membership.seconds_left == 0.0:
                return Place(reason=reason)
            return Place(node=self._node, fence=self._membership.held[ref], reason=reason)
        holder = self._overview.holder(ref)
        if holder is not None:
            fence = self._overview.leases[ref].fence
            return Place(node=holder.node, fence=fence, state=ELSEWHERE, reason=f"node {holder.node} holds it")
        if not self._overview.members:
            return Place(reason="it is not known yet which node holds it")
        return Place(reason=self._overview.why_nobody(needs))

    def report(self, wanted: Mapping[str, tuple[str, ...]]) -> SharingReport:
        """Return a summary.

        :param wanted: the sensors that any node should run, with the labels that a node must have to run them.
        """
        view, nodes = self._membership.view, Counter(map(self._overview.state_of, self._overview.nodes()))
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
