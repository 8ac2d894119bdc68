"""The operations that operators can perform on the sensors of a running container."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from st2sensor.container.operators.neighbours import Neighbours
from st2sensor.container.supervision.child import State
from st2sensor.container.supervision.children import Children
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import SensorNotFound
from st2sensor.logs import setup as logs
from st2sensor.models import Overrides

UNSETTLED = ("setup()", "cleanup()")
"""Methods that run for a short time after a sensor's start, and before its end."""


class Operations:
    """For the loop's thread.

    :param desired: returns the sensors that should run here.
    :param refresh: reads storage now.
    :param tell_level: sends a sensor its log level.
    """

    def __init__(
        self,
        children: Children,
        dispatcher: Dispatcher,
        desired: Callable[[], Collection[str]],
        refresh: Callable[[], Awaitable[None]],
        tell_level: Callable[[str, int], None],
        neighbours: Neighbours,
    ) -> None:
        self._children = children
        self._dispatcher = dispatcher
        self._desired = desired
        self._refresh = refresh
        self._tell_level = tell_level
        self._neighbours = neighbours
        self._levels: dict[str, str] = {}
        """Log levels that operators have set, by sensor."""

    async def refresh(self) -> None:
        """Read storage now."""
        await self._refresh()

    def is_settled(self) -> bool:
        """Return whether each sensor that should run here has been set up, or has failed."""
        states = self._children.states
        return all(
            ref in states
            and states[ref].state not in (State.STARTING, State.STOPPING)
            and self._children.method_of(ref) not in UNSETTLED
            for ref in self._desired()
        )

    def restart(self, ref: str) -> None:
        """Restart a sensor, or start it now if it is waiting for its next start. Raises SensorNotFound."""
        state = self._state_of(ref)
        if ref not in self._desired():
            raise SensorNotFound(f"sensor {ref} should not run here: it is disabled, or assigned to another node")
        if state in (State.STARTING, State.RUNNING):
            self._children.stop(ref, "an operator is restarting it")
        elif state is not State.STOPPING:
            self._children.start_now(ref)

    def neighbour(self, ref: str, process: int) -> int | None:
        """Note that another container is starting a sensor. Returns this process if the sensor should also run here.

        :param process: the other container's process id.
        """
        if ref not in self._desired():
            return None
        self._neighbours.warn(ref, process)
        return os.getpid()

    def set_level(self, level: str) -> None:
        """Change the log level of the container, and of the sensors that have no level of their own."""
        logs.set_level(level)
        for ref in self._children.states:
            self.override(ref, self._children.overrides_of(ref))

    def set_log_level(self, ref: str, level: str) -> None:
        """Change the log level of a sensor until this container ends. Raises SensorNotFound."""
        self._state_of(ref)
        self._levels[ref] = level
        self.override(ref, self._children.overrides_of(ref))

    def overridden(self, ref: str, overrides: Overrides) -> Overrides:
        """Return a sensor's registered overrides, with the log level that an operator has set here."""
        return replace(overrides, log_level=self._levels[ref]) if ref in self._levels else overrides

    def override(self, ref: str, overrides: Overrides) -> None:
        """Apply a sensor's registered overrides. A log level that an operator has set here takes precedence."""
        level = self._children.override(ref, self.overridden(ref, overrides))
        if level is not None:
            self._tell_level(ref, level)

    async def dispatch(self, sensor: str, event: Event) -> None:
        """Put an event into the outbox. Raises OutboxError, and ValueError if it must not be published."""
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is None:
            await self._refresh()
        entry = await self._dispatcher.entry(sensor, replace(event, by_hand=True), trigger_type)
        if entry.reason is not None:
            raise ValueError(entry.reason)
        await self._dispatcher.put([entry])

    async def release(self, sensor: str | None, trigger: str | None) -> int:
        """Send the triggers that limits hold: of one sensor or of all, of one trigger type or of all. Return their
        number.
        """
        return await self._dispatcher.release(sensor, trigger)

    def _state_of(self, ref: str) -> State:
        child = self._children.states.get(ref)
        if child is None:
            raise SensorNotFound(f"sensor {ref} does not run here; st2sensor show {ref} says why")
        return child.state
