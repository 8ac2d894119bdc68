"""The methods of a sensor that are running, and the calls that it is waiting for.

A method that runs for a long time is not a failure by itself: some sensors wait in poll() for hours on purpose. So the
container only shows it, unless a limit is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HANG_SECONDS, HANG_POLL_INTERVALS = 10.0, 3
"""A method is shown when it takes longer than this number of seconds and also longer than this number of poll
intervals. A call that waits for the container is shown after this number of seconds."""

TRIGGER_METHODS = ("add_trigger", "update_trigger", "remove_trigger", "triggers_known")
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
    "assignment": "start (waiting for its configuration)",
}
"""Names of calls as operators see them, by the wrapper protocol's method."""


@dataclass(frozen=True, slots=True)
class Doing:
    """A running method, or a waiting call.

    :param since: when it began, on the monotonic clock.
    """

    what: str
    since: float


class Activity:
    """The running methods of one sensor, as its wrapper reports them.

    :ivar poll_interval: seconds between two polls, as the sensor has set it; None until it has reported one.
    """

    def __init__(self) -> None:
        self.poll_interval: float | None = None
        self._running: dict[str, float] = {}

    def begins(self, what: str, now: float) -> None:
        """Note that a method has been entered."""
        self._running[what] = now

    def ends(self, what: str) -> None:
        """Note that a method has returned."""
        self._running.pop(what, None)

    def is_left(self) -> None:
        """Forget all running methods."""
        self._running.clear()

    @property
    def oldest(self) -> Doing | None:
        """The method that has run longest."""
        found = min(self._running.items(), key=lambda item: item[1], default=None)
        return None if found is None else Doing(*found)


def hanging(doing: Doing | None, waiting: Doing | None, poll_interval: float | None, now: float) -> Doing | None:
    """Return the method or call that has taken long enough to be shown; None if there is none.

    :param doing: the method that has run longest.
    :param waiting: the call that has waited longest. It is more specific, so it is preferred.
    """
    limit = max(HANG_SECONDS, HANG_POLL_INTERVALS * (poll_interval or 0.0))
    if waiting is not None and now - waiting.since >= HANG_SECONDS:
        return waiting
    return doing if doing is not None and now - doing.since >= limit else None


def trigger_method_of(params: Mapping[str, Any]) -> str:
    """Return the trigger method that a wrapper names. Raises KeyError for none, and ValueError for any other."""
    return TRIGGER_METHODS[TRIGGER_METHODS.index(params["method"])]


def poll_interval_of(params: Mapping[str, Any]) -> float | None:
    """Return the seconds between two polls that a wrapper names; None if it names none."""
    interval = params.get("interval")
    return float(interval) if isinstance(interval, int | float) and interval > 0 else None
