"""Whether something the container needs is there, since when, and why not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """:param reason: what is wrong, in words; empty when nothing is.
    :param since: in seconds since the epoch.
    """

    reason: str
    since: float = field(default_factory=time.time)

    @property
    def ok(self) -> bool:
        return not self.reason


def changed(health: Health, reason: str) -> Health:
    """The health from now on; it goes on since when it did if it is as good, or as bad, as before."""
    return Health(reason=reason, since=health.since) if health.ok is not bool(reason) else Health(reason=reason)
