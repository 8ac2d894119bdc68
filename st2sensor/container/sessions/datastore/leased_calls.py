"""Makes a sensor's datastore calls only while this container holds the sensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from st2sensor.container.sessions.datastore.call import OnDone
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.node import Node
from st2sensor.errors import LeaseLost
from st2sensor.sharing.held_leases import Tenure


class LeasedCalls:
    """For the loop's thread.

    Each call fails with LeaseLost if, when its turn comes, the sensor is no longer held under the fence that it had
    when the call was submitted. A sensor that is stopping does not wait for a database that is unreachable.

    :param tenure: says for which sensors this container may act.
    """

    def __init__(self, calls: DatabaseCalls, tenure: Tenure, node: Node) -> None:
        self._calls = calls
        self._tenure = tenure
        self._node = node

    def fence_of(self, ref: str) -> int | None:
        """Return the fence under which a sensor is held; None if it needs none. Raises LeaseLost."""
        return self._tenure.fence_of(ref)

    def submit(
        self, ref: str, call: Callable[[], Any], done: OnDone, *, repeatable: bool = True, writes: bool = False
    ) -> None:
        """Make a call, and pass its result or error to `done`. Raises LeaseLost."""
        checked, patient = self._while_held(ref, call), not self._node.is_stopping(ref)
        self._calls.submit(ref, checked, done, repeatable=repeatable, writes=writes, patient=patient)

    async def run(self, ref: str, call: Callable[[], Any], *, writes: bool = False, patient: bool = True) -> Any:
        """Make a call that may be repeated, and return its result.

        :param patient: whether the call waits for a database that is unreachable.

        Raises LeaseLost, DatastoreError, or the error that the call raised.
        """
        checked = self._while_held(ref, call)
        patient = patient and not self._node.is_stopping(ref)
        return await self._calls.run(ref, checked, writes=writes, patient=patient)

    def release(self, ref: str, before: float) -> None:
        """Fail the calls that a sensor made before a given time (loop's clock), and do not let its later calls wait."""
        self._calls.give_up(ref)
        self._calls.release(ref, before)

    def _while_held(self, ref: str, call: Callable[[], Any]) -> Callable[[], Any]:
        fence = self._tenure.fence_of(ref)

        def checked() -> Any:
            if not self._tenure.is_held(ref, fence):
                raise LeaseLost(ref)
            return call()

        return checked
