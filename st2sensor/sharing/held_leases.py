"""The leases that this container holds, with their fences and common term. Threads check them before they act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from st2sensor.errors import LeaseLost
from st2sensor.sharing.clocks import OVER, Clock, Moment, Term, now


class Tenure(Protocol):
    """Says whether a container may act for a sensor. For any thread."""

    def fence_of(self, sensor: str) -> int | None:
        """Return the fence to act under; None if sensors are not shared. Raises LeaseLost if acting is not allowed."""

    def is_held(self, sensor: str, fence: int | None) -> bool:
        """Return whether the container may act now under this fence (None: no lease is needed)."""


class Unshared:
    """The tenure of a container that does not share its sensors."""

    def fence_of(self, sensor: str) -> int | None:  # noqa: ARG002
        return None

    def is_held(self, sensor: str, fence: int | None) -> bool:  # noqa: ARG002
        return fence is None


class HeldLeases:
    """For any thread; only one may change it.

    :ivar doubted: called in any thread if the clocks disagree about the term, which must then be renewed at once.
    """

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock
        self._fences: dict[str, int] = {}
        self._term = OVER
        self.doubted: Callable[[], None] = lambda: None

    @property
    def fences(self) -> Mapping[str, int]:
        """The fences of all leases, by sensor, even if the term is over."""
        return self._fences

    @property
    def end(self) -> Moment:
        """The moment at which all leases end unless they are extended. It is enough that one clock reaches it."""
        return self._term.end

    @property
    def seconds_left(self) -> float:
        """Seconds until all leases are over."""
        return self._term.left(self._clock())

    @property
    def is_certain(self) -> bool:
        """Whether the clocks agree about the term. If not, nothing is held until the term is extended."""
        return self._term.is_certain(self._clock())

    @property
    def jump(self) -> float:
        """Seconds that the wall clock has gained on the boot clock since the term began."""
        return self._term.jump(self._clock())

    def fence_of(self, sensor: str) -> int | None:
        fence = self._fences.get(sensor)
        if fence is None or not self._is_in_time():
            raise LeaseLost(sensor)
        return fence

    def is_held(self, sensor: str, fence: int | None) -> bool:
        return fence is None or (self._fences.get(sensor) == fence and self._is_in_time())

    def extend(self, term: Term) -> None:
        """Set the term of all leases."""
        self._term = term

    def hold(self, fences: Mapping[str, int]) -> None:
        """Add leases, by sensor."""
        self._fences = {**self._fences, **fences}

    def drop(self, sensors: Iterable[str]) -> None:
        """Remove leases."""
        dropped = set(sensors)
        self._fences = {sensor: fence for sensor, fence in self._fences.items() if sensor not in dropped}

    def lose(self) -> None:
        """Remove all leases, and end the term."""
        self._term = OVER
        self._fences = {}

    def _is_in_time(self) -> bool:
        term, moment = self._term, self._clock()
        if not term.is_certain(moment):
            self.doubted()
            return False
        return term.left(moment) > 0.0
