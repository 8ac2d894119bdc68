"""The interface through which the wrapper protocol's methods use the rest of the container."""

from __future__ import annotations

from typing import Any, Protocol

from st2sensor.models import Trigger
from st2sensor.portable.keyspace import Asker


class Node(Protocol):
    """The container's view of what should run. For the loop's thread, except where noted."""

    async def assignment(self, ref: str) -> dict[str, Any]:
        """Return the assignment that a wrapper needs to run a sensor. Raises St2SensorError."""

    def may_have_batches(self, ref: str) -> bool:
        """Return whether a sensor may have unfinished batches, begun here or in its last container."""

    def triggers_of(self, ref: str) -> list[Trigger]:
        """Return the registered triggers of a sensor's trigger types."""

    async def refresh(self) -> None:
        """Read storage now."""

    def is_stopping(self, ref: str) -> bool:
        """Return whether a sensor has been asked to stop. For any thread."""

    def asker(self, ref: str) -> Asker:
        """Return a sensor together with its permissions in the datastore."""
