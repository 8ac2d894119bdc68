"""Chooses the sensors that a member hands over, so that each reaches its target. Few move at a time, and none while
members come and go."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from st2sensor.sharing.placement import Placement


class Moves:
    """For one thread.

    :param at_once: maximum number of sensors that move at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self.chosen: frozenset[str] = frozenset()
        """Sensors to hand over. Each stays here until another member has taken it."""

    def choose(
        self,
        me: str,
        held: Collection[str],
        free: Collection[str],
        wanted: Mapping[str, tuple[str, ...]],
        placement: Placement,
        *,
        calm: bool,
    ) -> None:
        """Choose again.

        :param me: id of the member that hands over.
        :param held: the sensors that this member holds.
        :param free: sensors that no member holds.
        :param wanted: sensors that some member should run, with the labels they need.
        :param calm: whether the members have not changed for a while. A sensor that may not stay moves in any case.
        """
        targets = {ref: placement.target(ref, wanted.get(ref, ())) for ref in self.chosen.union(held)}
        misplaced = [ref for ref, target in targets.items() if target != me]
        # Do not wait for sensors that no member may run.
        under_way = {
            ref
            for ref in self.chosen.intersection(misplaced, wanted)
            if ref in held or (ref in free and targets[ref] is not None)
        }
        for ref in misplaced:
            if len(under_way) >= self._at_once:
                break
            if ref in held and ref in wanted and (calm or not placement.may_run(me, wanted[ref])):
                under_way.add(ref)
        self.chosen = frozenset(under_way)
