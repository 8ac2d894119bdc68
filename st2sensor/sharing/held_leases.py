"""Which sensors this container holds, under which fence, and until when: what its threads ask before they act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from st2sensor.errors import LeaseLost
from st2sensor.sharing.clocks import OVER, Clock, Moment, Term, now


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


class HeldLeases:
    """One thread changes it.

    :ivar doubted: called, by any thread, when the clocks disagree about the term, so that it is to be renewed now.
    """

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock
        self._fences: dict[str, int] = {}
        self._term = OVER
        self.doubted: Callable[[], None] = lambda: None

    @property
    def fences(self) -> Mapping[str, int]:
        """By sensor, whether the term is over or not."""
        return self._fences

    @property
    def end(self) -> Moment:
        """When all of it is over, unless it is extended: as soon as one clock has come there."""
        return self._term.end

    @property
    def seconds_left(self) -> float:
        """Until all of it is over."""
        return self._term.left(self._clock())

    @property
    def is_certain(self) -> bool:
        """Whether the clocks agree about the term: otherwise nothing is held until it is extended."""
        return self._term.is_certain(self._clock())

    @property
    def jump(self) -> float:
        """Seconds by which the wall clock has come to be ahead of the other one since the term began."""
        return self._term.jump(self._clock())

    def fence_of(self, sensor: str) -> int | None:
        fence = self._fences.get(sensor)
        if fence is None or not self._is_in_time():
            raise LeaseLost(sensor)
        return fence

    def is_held(self, sensor: str, fence: int | None) -> bool:
        return fence is None or (self._fences.get(sensor) == fence and self._is_in_time())

    def extend(self, term: Term) -> None:
        self._term = term

    def hold(self, fences: Mapping[str, int]) -> None:
        self._fences = {**self._fences, **fences}

    def drop(self, sensors: Iterable[str]) -> None:
        gone = set(sensors)
        self._fences = {sensor: fence for sensor, fence in self._fences.items() if sensor not in gone}

    def lose(self) -> None:
        """All of it is over now."""
        self._term = OVER
        self._fences = {}

    def _is_in_time(self) -> bool:
        term, moment = self._term, self._clock()
        if not term.is_certain(moment):
            self.doubted()
            return False
        return term.left(moment) > 0.0
