"""What operators may do to the sensors of a running container."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace

from st2sensor.container.operators.neighbours import Beside
from st2sensor.container.supervision.child import State
from st2sensor.container.supervision.children import Children
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import SensorNotFound
from st2sensor.logs import setup as logs
from st2sensor.models import Overrides


class Operations:
    """For the loop's thread.

    :param desired: the sensors that should run.
    :param look: looks into storage now.
    :param tell_level: tells a sensor the level of its log.
    """

    def __init__(
        self,
        children: Children,
        dispatcher: Dispatcher,
        desired: Callable[[], Container[str]],
        look: Callable[[], Awaitable[None]],
        tell_level: Callable[[str, int], None],
        beside: Beside,
    ) -> None:
        self._children = children
        self._dispatcher = dispatcher
        self._desired = desired
        self._look = look
        self._tell_level = tell_level
        self._beside = beside
        self._levels: dict[str, str] = {}
        """Of sensors whose level an operator has changed."""

    async def refresh(self) -> None:
        """Look into storage now."""
        await self._look()

    def restart(self, ref: str) -> None:
        """Stop a sensor and start it again; one that waits for its next start is started now. Raises SensorNotFound."""
        state = self._state_of(ref)
        if ref not in self._desired():
            raise SensorNotFound(f"sensor {ref} is not to run here: it is disabled, or another node's")
        if state in (State.STARTING, State.RUNNING):
            self._children.stop(ref, "an operator restarts it")
        elif state is not State.STOPPING:
            self._children.start_now(ref)

    def beside(self, ref: str, process: int) -> int | None:
        """Another container, in another process, starts a sensor; returns this process, if that is to run here, too."""
        if ref not in self._desired():
            return None
        self._beside.tell(ref, process)
        return os.getpid()

    def set_level(self, level: str) -> None:
        """Change the level of the container's log, and of the sensors that have none of their own."""
        logs.set_level(level)
        for ref in self._children.states:
            self.override(ref, self._children.overrides_of(ref))

    def set_log_level(self, ref: str, level: str) -> None:
        """Change the level of a sensor's log, for as long as this container runs. Raises SensorNotFound."""
        self._state_of(ref)
        self._levels[ref] = level
        self.override(ref, self._children.overrides_of(ref))

    def overridden(self, ref: str, overrides: Overrides) -> Overrides:
        """What is registered for a sensor, with what an operator has said since."""
        return replace(overrides, log_level=self._levels[ref]) if ref in self._levels else overrides

    def override(self, ref: str, overrides: Overrides) -> None:
        """What is registered for a sensor may have changed: what an operator has said since goes over it."""
        level = self._children.override(ref, self.overridden(ref, overrides))
        if level is not None:
            self._tell_level(ref, level)

    async def dispatch(self, sensor: str, event: Event) -> None:
        """Put an event into the outbox. Raises ValueError for one that must not be published, OutboxError."""
        trigger_type = self._dispatcher.type_of(event.trigger)
        if trigger_type is None:
            await self._look()
        entry = await self._dispatcher.entry(sensor, event, trigger_type)
        if entry.reason is not None:
            raise ValueError(entry.reason)
        await self._dispatcher.put(entry)

    def _state_of(self, ref: str) -> State:
        child = self._children.states.get(ref)
        if child is None:
            raise SensorNotFound(f"sensor {ref} does not run here; st2sensor show {ref} says why")
        return child.state
