"""Decides which sensors should run on this node, according to storage and leases, and why the others should not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from st2sensor.container.desired.membership import Membership
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.models import Overrides, SensorType, Trigger
from st2sensor.models.limits import SensorLimits


class Targets:
    """For the loop's thread.

    :param wake: set when the set of sensors that should run has changed.
    :param only: run this sensor alone, even if another node owns it or it is disabled.
    :param unlimited: give the sensors no time limits, for a human at a debugger.
    :ivar snapshot: the content of storage; None until it is known.
    :ivar needs: the sensors that some node should run, with the labels that node must have; None until known.
    :ivar desired: digests of the sensors that should run here now, by reference.
    :ivar membership: this container's membership in sharing; None if sensors are not shared.
    """

    def __init__(self, wake: asyncio.Event, *, only: str | None = None, unlimited: bool = False) -> None:
        self._wake = wake
        self._only = only
        self._unlimited = unlimited
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._digests: Mapping[str, str] = {}
        """Digests of the sensors of this node; with shared sensors, those of every node."""
        self.snapshot: Snapshot | None = None
        self._rotations: dict[str, int] = {}
        """By sensor, how many times a secret from another source has changed in its configuration."""
        self.needs: Mapping[str, tuple[str, ...]] | None = None
        self.desired: Mapping[str, str] = {}
        self.membership: Membership | None = None

    def listen(self, listener: Callable[[Snapshot], None]) -> None:
        """Add a listener, which is called with each new snapshot."""
        self._listeners.append(listener)

    def learn(self, snapshot: Snapshot) -> None:
        """Replace the snapshot, choose which sensors should run, and call the listeners."""
        self.snapshot = snapshot
        self._digests = snapshot.desired(self._only)
        self._rotations = {ref: count for ref, count in self._rotations.items() if ref in snapshot.sensors}
        self.needs = {ref: snapshot.needs_of(ref) for ref in self._digests}
        self.choose()
        for listener in self._listeners:
            listener(snapshot)

    def choose(self) -> None:
        """Choose which sensors should run here, after the snapshot or the leases have changed."""
        desired: Mapping[str, str] = self._digests
        if self._rotations:
            desired = {ref: f"{digest}{self._rotation(ref)}" for ref, digest in desired.items()}
        if self.membership is not None:
            # A sensor with a new fence counts as another sensor: the process with the earlier fence must not go on.
            runs = self.membership.runs
            desired = {ref: f"{digest}.{runs[ref]}" for ref, digest in desired.items() if ref in runs}
            self.membership.poke()
        self.desired = desired
        self._wake.set()

    def rotate(self, ref: str) -> None:
        """Restart a sensor, because a secret in its configuration has changed."""
        self._rotations[ref] = self._rotations.get(ref, 0) + 1
        self.choose()

    def _rotation(self, ref: str) -> str:
        return f"~{self._rotations[ref]}" if ref in self._rotations else ""

    def why_unwanted(self, ref: str) -> str:
        """Return why a sensor should no longer run here, in words."""
        if self.membership is None or ref not in self._digests:
            return "it is disabled or unregistered"
        return self.membership.why_not(ref)

    def sensor(self, ref: str) -> SensorType | None:
        """Return a sensor; None for one that is not registered."""
        return None if self.snapshot is None else self.snapshot.sensors.get(ref)

    def overrides_of(self, ref: str) -> Overrides:
        """Return the overrides that an operator has registered for a sensor."""
        found = Overrides() if self.snapshot is None else self.snapshot.overrides_of(ref)
        return replace(found, setup_timeout=0.0, poll_timeout=0.0, trigger_timeout=0.0) if self._unlimited else found

    def limits(self) -> dict[str, SensorLimits]:
        """Return the limits for events, by sensor. They include sensors of other nodes, whose events may be held."""
        if self.snapshot is None:
            return {}
        declared = ((ref, self.snapshot.overrides_of(ref).limits) for ref in self.snapshot.sensors)
        return {ref: SensorLimits(ref, limits) for ref, limits in declared if limits}

    def poll_interval(self, ref: str) -> float | None:
        """Return the seconds between two polls of a sensor, according to its metadata."""
        sensor = self.sensor(ref)
        return None if sensor is None else sensor.poll_interval or None

    def triggers_of(self, ref: str) -> list[Trigger]:
        """Return the triggers that a sensor should be notified of."""
        return [] if self.snapshot is None else self.snapshot.triggers_of(ref)
