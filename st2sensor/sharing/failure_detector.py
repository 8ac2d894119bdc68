"""Detects dead members. Clocks are not compared: a member is alive as long as its counter grows."""

from __future__ import annotations

from collections.abc import Iterable

from st2sensor.models import Member
from st2sensor.sharing.times import times_of


class FailureDetector:
    """For one thread. All times are by the observer's own clock."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Member, float]] = {}
        """Members by id, each with the time at which its counter reached its current value, or at which it died."""

    def observe(self, members: Iterable[Member], now: float) -> None:
        """Note the counters of all members.

        :param now: a time after they were read.
        """
        before, self._seen = self._seen, {}
        for member in members:
            known, since = before.get(member.id, (member, now))
            is_same = (known.counter, known.dead) == (member.counter, member.dead)
            self._seen[member.id] = (member, since if is_same else now)

    def silent(self, now: float) -> list[Member]:
        """Return living members whose terms must be over, unless they have renewed since they were read."""
        return [member for member, since in self._alive() if now - since >= times_of(member.lease).silence]

    def next_silent(self) -> float | None:
        """Return when the next member becomes silent if it does not renew; None if no member is alive."""
        return min((since + times_of(member.lease).silence for member, since in self._alive()), default=None)

    def long_dead(self, now: float, seconds: float) -> list[str]:
        """Return the ids of members that have been dead for at least the given number of seconds."""
        return [member.id for member, since in self._seen.values() if member.dead and now - since >= seconds]

    def _alive(self) -> list[tuple[Member, float]]:
        return [(member, since) for member, since in self._seen.values() if not member.dead]
