"""Which sensors this container holds, under which fence, and until when: what its threads ask before they act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from st2sensor.errors import LeaseLost
from st2sensor.sharing.times import boottime


class Tenure(Protocol):
    """Whether a container may act for a sensor. Any thread may ask."""

    def fence_of(self, sensor: str) -> int | None:
        """The fence to act under; None where sensors are not shared. Raises LeaseLost when it may not act."""

    def is_held(self, sensor: str, fence: int | None) -> bool:
        """Whether it may, right now, under that fence; None is of what needs none."""


class Unshared:
    """All sensors are this container's own."""

    def fence_of(self, sensor: str) -> int | None:  # noqa: ARG002
        return None

    def is_held(self, sensor: str, fence: int | None) -> bool:  # noqa: ARG002
        return fence is None


class Holdings:
    """One thread changes it.

    :param clock: CLOCK_BOOTTIME, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._fences: dict[str, int] = {}
        self.deadline = 0.0
        """When all of it is over, unless it is extended."""

    @property
    def fences(self) -> Mapping[str, int]:
        """By sensor, whether the deadline has passed or not."""
        return self._fences

    def fence_of(self, sensor: str) -> int | None:
        fence = self._fences.get(sensor)
        if fence is None or not self._is_in_time:
            raise LeaseLost(sensor)
        return fence

    def is_held(self, sensor: str, fence: int | None) -> bool:
        return fence is None or (self._fences.get(sensor) == fence and self._is_in_time)

    def extend(self, deadline: float) -> None:
        self.deadline = deadline

    def hold(self, fences: Mapping[str, int]) -> None:
        self._fences = {**self._fences, **fences}

    def drop(self, sensors: Iterable[str]) -> None:
        gone = set(sensors)
        self._fences = {sensor: fence for sensor, fence in self._fences.items() if sensor not in gone}

    def lose(self) -> None:
        """All of it is over now."""
        self.deadline = 0.0
        self._fences = {}

    @property
    def _is_in_time(self) -> bool:
        return self._clock() < self.deadline
