"""When a member has last seen others move. Nobody's wall clock counts, nor another's clock: only counters that grow."""

from __future__ import annotations

from collections.abc import Iterable

from st2sensor.models import Member
from st2sensor.sharing.times import times_of


class FailureDetector:
    """For one thread. All times are the observer's own."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Member, float]] = {}
        """Members by id, with when each was first seen in its present life, or first seen dead."""

    def observe(self, members: Iterable[Member], now: float) -> None:
        """:param now: after the members were read."""
        before, self._seen = self._seen, {}
        for member in members:
            known, since = before.get(member.id, (member, now))
            is_same = (known.counter, known.dead) == (member.counter, member.dead)
            self._seen[member.id] = (member, since if is_same else now)

    def silent(self, now: float) -> list[Member]:
        """Members that have not renewed for so long that they hold nothing, if they still have not."""
        return [member for member, since in self._alive() if now - since >= times_of(member.lease).silence]

    def next_silent(self) -> float | None:
        """When the next one will be, unless it renews."""
        return min((since + times_of(member.lease).silence for member, since in self._alive()), default=None)

    def long_dead(self, now: float, seconds: float) -> list[str]:
        """Ids of members that have been dead for so long."""
        return [member.id for member, since in self._seen.values() if member.dead and now - since >= seconds]

    def _alive(self) -> list[tuple[Member, float]]:
        return [(member, since) for member, since in self._seen.values() if not member.dead]
