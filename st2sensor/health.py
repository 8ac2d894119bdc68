"""The health of something that the container needs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the thing works, and since when.

    :param reason: why it does not work, in words; empty if it works.
    :param since: when this state began, in seconds since the epoch.
    """

    reason: str
    since: float = field(default_factory=time.time)

    @property
    def ok(self) -> bool:
        return not self.reason


def changed(health: Health, reason: str) -> Health:
    """Return the new health. `since` is kept while the state (ok or not) stays the same."""
    return Health(reason=reason, since=health.since) if health.ok is not bool(reason) else Health(reason=reason)
