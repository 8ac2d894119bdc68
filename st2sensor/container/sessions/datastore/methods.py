"""The datastore's methods of the wrapper protocol.

Most calls are made and answered in a thread of `DatabaseCalls`. The calls of a sensor that may have an unfinished batch
wait until the batch has been carried out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.batches import Batches
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.node import Node
from st2sensor.container.sessions.session import Session
from st2sensor.datastore.sensor_keys import Found, SensorKeys
from st2sensor.errors import DatastoreUnavailable, RpcError, St2SensorError
from st2sensor.models import Change
from st2sensor.portable import isotime, rpc
from st2sensor.system.event_loop import Tasks

LOG = logging.getLogger("st2sensor.datastore")


@dataclass(frozen=True, slots=True)
class Method:
    """A method that makes one call.

    :param call: takes the asker and the request's parameters.
    :param answer: turns the call's result into the answer.
    :param writes: whether the call changes a key.
    :param repeatable: whether a second execution is harmless.
    """

    call: Callable[..., Any]
    answer: Callable[[Any], Any]
    writes: bool = False
    repeatable: bool = True


class DatastoreMethods:
    """For the loop's thread."""

    def __init__(
        self, node: Node, keys: SensorKeys, calls: LeasedCalls, batches: Batches, announcer: Announcer
    ) -> None:
        self._node = node
        self._calls = calls
        self._batches = batches
        self._announcer = announcer
        self._tasks = Tasks()
        self._methods = {
            "datastore.get": Method(keys.get, _found),
            "datastore.list": Method(keys.list, lambda found: [_found(item) for item in found]),
            "datastore.set": Method(keys.set, _is_done, writes=True),
            "datastore.compare_and_set": Method(keys.compare_and_set, _is_done, writes=True, repeatable=False),
            "datastore.delete": Method(keys.delete, _is_done, writes=True, repeatable=False),
        }

    def handle(self, session: Session, identifier: int | None, method: str, params: dict[str, Any]) -> None:
        """Answer a request, now or later. Raises LeaseLost."""
        assert session.ref is not None
        if method == "datastore.dispatch_and_set":
            self._tasks.start(self._answer_batch(session, identifier, session.ref, params))
        elif method not in self._methods:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)
        elif self._batches.may_have_unfinished(session.ref):
            self._tasks.start(self._answer_in_turn(session, identifier, session.ref, self._methods[method], params))
        else:
            self._submit(session, identifier, session.ref, self._methods[method], params)

    async def carry_out_batches(self, ref: str) -> None:
        """Carry out the batches that a sensor began here or in its last container, if the database can be reached now.

        Raises DatastoreError, LeaseLost and OutboxError; then they are carried out before the sensor's next call.
        """
        self._batches.mark_unfinished(ref)
        await self._batches.finish_all(ref, patient=False)

    def release(self, ref: str, before: float) -> None:
        """Fail the calls that a stopping sensor made before a given time on the loop's clock."""
        self._calls.release(ref, before)

    async def close(self) -> None:
        """Cancel the waiting requests, and announce the remaining changes."""
        await asyncio.gather(*self._tasks.cancel(), return_exceptions=True)
        self._announcer.flush()

    def _submit(
        self, session: Session, identifier: int | None, ref: str, method: Method, params: dict[str, Any]
    ) -> None:
        def done(result: Any, error: Exception | None) -> None:
            if error is None:
                session.answer(identifier, method.answer(result))
                if isinstance(result, Change):
                    self._announcer.announce(result)
            else:
                if isinstance(error, DatastoreUnavailable) and error.uncertain:
                    # The sensor's next call must see the outcome of this call, and not an earlier value.
                    self._batches.mark_unfinished(ref)
                _refuse(session, identifier, error)

        call = partial(method.call, self._node.asker(ref), **params)
        self._calls.submit(ref, call, done, repeatable=method.repeatable, writes=method.writes)

    async def _answer_in_turn(
        self, session: Session, identifier: int | None, ref: str, method: Method, params: dict[str, Any]
    ) -> None:
        try:
            await self._batches.finish_all(ref)
            self._submit(session, identifier, ref, method, params)
        except Exception as exception:  # noqa: BLE001 (after any error, the sensor is waiting for an answer)
            _refuse(session, identifier, exception)

    async def _answer_batch(self, session: Session, identifier: int | None, ref: str, params: dict[str, Any]) -> None:
        try:
            answer = await self._batches.dispatch_and_set(ref, **params)
        except Exception as exception:  # noqa: BLE001 (the sensor gets it; an unexpected one is logged)
            _refuse(session, identifier, exception)
        else:
            session.answer(identifier, answer)


def _refuse(session: Session, identifier: int | None, error: Exception) -> None:
    if isinstance(error, (St2SensorError, TypeError, ValueError)):
        session.refuse(identifier, error)
    else:
        LOG.error("%s: a datastore call failed", session.ref, exc_info=error)
        session.refuse(identifier, error, rpc.INTERNAL_ERROR)


def _is_done(change: Change | None) -> bool:
    return change is not None


def _found(found: Found | None) -> dict[str, Any] | None:
    if found is None:
        return None
    entry = found.entry
    expires = entry.expire_timestamp
    return {
        "name": entry.name,
        "value": entry.value,
        "secret": entry.secret,
        "encrypted": found.encrypted,
        "expire_timestamp": None if expires is None else isotime.format(expires, offset=False),
    }
