"""Which sensors a member hands over so that each is where placement puts it: few at a time, and not while members come
and go."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from st2sensor.sharing.placement import Placement


class Moves:
    """For one thread.

    :param at_once: sensors that are on their way at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self.chosen: frozenset[str] = frozenset()
        """From when it is decided until somebody else has taken them."""

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
        """Decide anew.

        :param me: the member that hands over; :param held: its sensors; :param free: those that nobody has.
        :param wanted: the labels that sensors need.
        :param calm: whether the members have not changed for a while; those that may not stay do not wait for it.
        """
        targets = {ref: placement.target(ref, wanted.get(ref, ())) for ref in self.chosen.union(held)}
        misplaced = [ref for ref, target in targets.items() if target != me]
        # Nobody is waited for who may take what no member may run.
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
