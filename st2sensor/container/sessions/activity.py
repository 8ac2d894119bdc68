"""What the process of a sensor is in: which of the sensor's methods run, and what it waits for.

A method that runs for long is no fault by itself: some sensors wait in poll() for hours on purpose. So it is shown, and
nothing else comes of it unless a limit is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAST, INTERVALS = 10.0, 3
"""Seconds, and intervals between two polls: what takes longer than both is shown."""

HEARS = ("add_trigger", "update_trigger", "remove_trigger", "triggers_known")
"""Methods of a sensor that are called in a thread of their own."""

WAITS = {
    "dispatch": "dispatch()",
    "datastore.get": "get_value()",
    "datastore.list": "list_values()",
    "datastore.set": "set_value()",
    "datastore.compare_and_set": "compare_and_set()",
    "datastore.delete": "delete_value()",
    "datastore.dispatch_and_set": "dispatch_and_set()",
    "user.info": "get_user_info()",
    "assignment": "a start: it waits for its configuration",
}
"""What sensors call, by the method of the wrapper protocol that waits for an answer."""


@dataclass(frozen=True, slots=True)
class Doing:
    """:param since: on the monotonic clock."""

    what: str
    since: float


class Activity:
    """As the wrapper tells it.

    :ivar poll_interval: seconds between two polls, as the sensor has it now; None where it has not said.
    """

    def __init__(self) -> None:
        self.poll_interval: float | None = None
        self._running: dict[str, float] = {}

    def begins(self, what: str, now: float) -> None:
        """A method is entered."""
        self._running[what] = now

    def ends(self, what: str) -> None:
        """A method has returned."""
        self._running.pop(what, None)

    def is_left(self) -> None:
        """No method runs that the container waits for."""
        self._running.clear()

    @property
    def oldest(self) -> Doing | None:
        """What runs longest."""
        found = min(self._running.items(), key=lambda item: item[1], default=None)
        return None if found is None else Doing(*found)


def hanging(doing: Doing | None, waiting: Doing | None, poll_interval: float | None, now: float) -> Doing | None:
    """What takes so long that it is shown; None when nothing does.

    :param doing: the method that runs longest. :param waiting: the call that waits longest: it says more, if both do.
    """
    limit = max(LEAST, INTERVALS * (poll_interval or 0.0))
    return next((found for found in (waiting, doing) if found is not None and now - found.since >= limit), None)


def method_told(params: Mapping[str, Any]) -> str:
    """The name of a method that hears of triggers, as a wrapper tells it. Raises ValueError."""
    return HEARS[HEARS.index(params["method"])]


def interval_told(params: Mapping[str, Any]) -> float | None:
    """The interval between two polls, as a wrapper tells it; None where it tells none."""
    interval = params.get("interval")
    return float(interval) if isinstance(interval, int | float) and interval > 0 else None
