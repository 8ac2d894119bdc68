"""Carries out batches: a sensor dispatches triggers and sets a key together, so that both happen or neither.

A batch is first stored in the database. From then on it will be carried out, no matter what happens: the triggers go
into the outbox, then the key is set. docs/datastore.md explains why this is safe. While a sensor may have an unfinished
batch, its other calls wait, so that it never reads a key that is about to change.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.container.sessions.node import Node
from st2sensor.datastore.sensor_keys import SensorKeys
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.errors import DatastoreError, LeaseLost, OutboxError
from st2sensor.models import Batch
from st2sensor.outbox.entry import Entry

LOG = logging.getLogger("st2sensor.datastore")

ENTRY_FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("message_id", "sensor", "trigger", "trigger_type", "body"), (str,)),
    "created": (int, float),
    "tagged": (bool,),
    "reason": (str, type(None)),
    "fence": (int, type(None)),
}
"""Types of an entry's fields. They are checked because anyone may have written the stored batches."""

EntryOf = Callable[[str, dict[str, Any], bytes | None], Awaitable[Entry]]
"""Makes an outbox entry from a sensor, the parameters of a `dispatch`, and its payload if that came as a body."""


class Batches:
    """Stores and carries out the batches of all sensors. For the loop's thread."""

    def __init__(
        self,
        node: Node,
        keys: SensorKeys,
        calls: LeasedCalls,
        dispatcher: Dispatcher,
        entry_of: EntryOf,
        announcer: Announcer,
    ) -> None:
        self._node = node
        self._keys = keys
        self._calls = calls
        self._dispatcher = dispatcher
        self._entry_of = entry_of
        self._announcer = announcer
        self._unfinished: set[str] = set()
        """Sensors that may have a stored batch, or a write whose outcome is unknown."""
        self._locks: dict[str, asyncio.Lock] = {}
        """A lock for each sensor, held while its batches are carried out."""

    def may_have_unfinished(self, ref: str) -> bool:
        """Return whether a sensor's next call must wait for `finish_all`."""
        return ref in self._unfinished

    def mark_unfinished(self, ref: str) -> None:
        """Make a sensor's next call wait until its batches are carried out. For any thread."""
        self._unfinished.add(ref)

    async def finish_all(self, ref: str, *, patient: bool = True) -> None:
        """Carry out all batches of a sensor, if it may have any.

        :param patient: whether to wait for a database that is unreachable.

        Raises DatastoreError, LeaseLost and OutboxError; then the sensor's next call must try again.
        """
        async with self._lock(ref):
            await self._finish_all(ref, patient=patient)

    async def dispatch_and_set(
        self,
        ref: str,
        *,
        events: list[dict[str, Any]],
        name: str,
        value: str,
        local: bool,
        is_expected: bool,
        expected: str | None,
        payloads: list[bytes] | None = None,
    ) -> bool:
        """Dispatch events and set a key. Does nothing and returns False if the key does not have the expected value.

        :param payloads: the events' payloads, in order; None when each event contains its own.

        Raises DatastoreError, LeaseLost, OutboxError, TypeError and ValueError.
        """
        given: list[bytes] | list[None] = [None] * len(events) if payloads is None else payloads
        if len(given) != len(events):
            raise ValueError("there must be one payload for each event")
        entries = [await self._entry_of(ref, event, payload) for event, payload in zip(events, given, strict=True)]
        draft = Batch(
            id=uuid.uuid4().hex,
            sensor=ref,
            name=name,
            expected=expected,
            value=value,
            events=tuple(map(_event, entries)),
            fence=self._calls.fence_of(ref),
        )
        asker = self._node.asker(ref)
        async with self._lock(ref):
            await self._finish_all(ref)
            # The sensor's other calls wait until the batch is carried out, or is known not to be stored.
            self._unfinished.add(ref)
            begin = partial(self._keys.begin, asker, draft, local=local, is_expected=is_expected)
            try:
                batch = await self._calls.run(ref, begin, writes=True)
            except (TypeError, ValueError):
                self._unfinished.discard(ref)
                raise
            if batch is None:
                self._unfinished.discard(ref)
                return False
            finished = await self._try_to_finish(ref, batch)
            if finished or batch.sensor != ref:
                # If another sensor's batch blocked this one, this one was not stored.
                self._unfinished.discard(ref)
            return bool(batch.id == draft.id)

    async def _try_to_finish(self, ref: str, batch: Batch) -> bool:
        """Carry out a batch. If that fails now, the batch is carried out before its sensor accesses the key again."""
        try:
            await self._finish(ref, batch)
        except (DatastoreError, LeaseLost, OutboxError) as exception:
            LOG.warning(
                "%s: a dispatch_and_set is stored, and will be carried out before the sensor's next call: %s",
                *(batch.sensor, exception),
            )
            return False
        return True

    async def _finish_all(self, ref: str, *, patient: bool = True) -> None:
        if ref in self._unfinished:
            for batch in await self._calls.run(ref, partial(self._keys.unfinished, ref), patient=patient):
                await self._finish(ref, batch)
            self._unfinished.discard(ref)

    async def _finish(self, ref: str, batch: Batch) -> None:
        """Put the triggers into the outbox, then set the key.

        :param ref: the sensor whose call needs this; the batch that blocks the call may be another sensor's.
        """
        try:
            entries = [self._dispatcher.adopted(_entry(event), ref) for event in batch.events]
        except TypeError as exception:
            raise DatastoreError(
                f"a batch of {batch.sensor} was written by another version of st2sensor: {exception}"
            ) from None
        if entries:
            await self._dispatcher.put(entries)
        change = await self._calls.run(ref, partial(self._keys.finish, batch))
        if change is not None:
            self._announcer.announce(change)

    def _lock(self, ref: str) -> asyncio.Lock:
        return self._locks.setdefault(ref, asyncio.Lock())


def _event(entry: Entry) -> dict[str, Any]:
    """Return the fields of an entry that are stored in a batch, without the fields that are set later."""
    return {name: getattr(entry, name) for name in ENTRY_FIELDS}


def _entry(event: Mapping[str, Any]) -> Entry:
    """Return a stored event as an outbox entry. Raises TypeError if it is not one."""
    entry = Entry(**event)
    for name, kinds in ENTRY_FIELDS.items():
        if not isinstance(getattr(entry, name), kinds):
            raise TypeError(f"{name} of a trigger is a {type(getattr(entry, name)).__name__}")
    return entry
