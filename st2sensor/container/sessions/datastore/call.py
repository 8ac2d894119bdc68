"""One call of the datastore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from st2sensor.errors import DatastoreUnavailable

OnDone = Callable[[Any, Exception | None], None]
"""Takes a call's result or its error. Called from any thread; must neither raise nor wait."""


class Call:
    """A call to be made in a thread.

    :param owner: the sensor that makes the call; empty for the probe.
    :param repeatable: whether a second execution is harmless, so that a call with an unknown outcome may be repeated.
    :param writes: whether the call changes a key.
    :param since: when the call was made, and `until` when it is given up, on the loop's clock.
    :ivar uncertain: whether the call may have been carried out although no answer arrived.
    """

    __slots__ = ("done", "function", "owner", "repeatable", "since", "uncertain", "until", "writes")

    def __init__(
        self,
        owner: str,
        function: Callable[[], Any],
        done: OnDone,
        *,
        repeatable: bool = True,
        writes: bool = False,
        since: float = 0.0,
        until: float = 0.0,
    ) -> None:
        self.owner = owner
        self.function = function
        self.done = done
        self.repeatable = repeatable
        self.writes = writes
        self.since = since
        self.until = until
        self.uncertain = False

    def unavailable(self, reason: object) -> DatastoreUnavailable:
        """Return the error that the owner gets when the call is given up."""
        if self.uncertain and (self.writes or not self.repeatable):
            return DatastoreUnavailable(f"{reason}; it is not known whether it was carried out", uncertain=True)
        return DatastoreUnavailable(str(reason))
