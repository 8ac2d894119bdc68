"""The datastore's methods of the wrapper protocol.

Most calls are made and answered in a thread of `Storing`. Those of a sensor with an unfinished batch, which
docs/datastore.md explains, wait until it is carried out, so that nobody reads a key which is about to change.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from st2sensor.container.sessions.database_calls import DatabaseCalls
from st2sensor.container.sessions.session import Session
from st2sensor.datastore.change_triggers import triggers_of
from st2sensor.datastore.sensor_keys import Found, SensorKeys
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.errors import DatastoreError, DatastoreUnavailable, LeaseLost, OutboxError, RpcError, St2SensorError
from st2sensor.models import Batch, Change
from st2sensor.outbox.entry import Entry
from st2sensor.portable import isotime, rpc
from st2sensor.portable.keyspace import Asker
from st2sensor.sharing.held_leases import Tenure

ANNOUNCE_DELAY = 0.1
"""Seconds in which changes are gathered that are announced together: one by one they cost as much as the calls."""

LOG = logging.getLogger("st2sensor.datastore")

BOOKKEEPING = ("core.TimerSensor:", "core.WebhookSensor:")
"""How the names of keys begin whose changes are not announced: cursors of timers would make three events of each."""


ENTRY: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("message_id", "sensor", "trigger", "trigger_type", "body"), (str,)),
    "created": (int, float),
    "tagged": (bool,),
    "reason": (str, type(None)),
    "fence": (int, type(None)),
}
"""What the fields of an entry are: batches are read from documents that anybody may have written."""


class Node(Protocol):
    """What the methods need of the supervisor."""

    def asker(self, ref: str) -> Asker:
        """A sensor, and what an operator allows it."""

    def is_stopping(self, ref: str) -> bool:
        """Whether a sensor has been asked to stop: then it does not wait for a database."""

    def emit(self, trigger: str, payload: dict[str, Any]) -> None:
        """Announce a trigger of the container's own."""


@dataclass(frozen=True, slots=True)
class Method:
    """:param call: given the asker and the request's parameters.
    :param answer: the answer in what the call returns.
    :param writes: whether it changes a key.
    :param repeatable: whether it does no harm when it is made a second time.
    """

    call: Callable[..., Any]
    answer: Callable[[Any], Any]
    writes: bool = False
    repeatable: bool = True


class DatastoreMethods:
    """For the loop's thread.

    :param entry_of: a trigger that a sensor dispatches, as it goes into the outbox.
    :param tenure: says for which sensors this container may act.
    :param emits: whether changes are announced.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        node: Node,
        datastore: SensorKeys,
        storing: DatabaseCalls,
        dispatcher: Dispatcher,
        *,
        entry_of: Callable[[str, dict[str, Any], bytes | None], Awaitable[Entry]],
        tenure: Tenure,
        emits: bool,
    ) -> None:
        self._loop = loop
        self._node = node
        self._datastore = datastore
        self._storing = storing
        self._dispatcher = dispatcher
        self._entry_of = entry_of
        self._tenure = tenure
        self._emits = emits
        self._unfinished: set[str] = set()
        """Sensors that may have a batch which is not carried out yet, or a write of which nobody knows what became."""
        self._locks: dict[str, asyncio.Lock] = {}
        """Held by whoever carries out the batches of a sensor."""
        self._changes: deque[Change] = deque()
        """What is to be announced."""
        self._announcing = False
        self._emitting = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods = {
            "datastore.get": Method(datastore.get, _found),
            "datastore.list": Method(datastore.list, lambda found: [_found(item) for item in found]),
            "datastore.set": Method(datastore.set, _is_done, writes=True),
            "datastore.compare_and_set": Method(datastore.compare_and_set, _is_done, writes=True, repeatable=False),
            "datastore.delete": Method(datastore.delete, _is_done, writes=True, repeatable=False),
        }

    def handle(self, session: Session, identifier: int | None, method: str, params: dict[str, Any]) -> None:
        """Answer a request, now or later."""
        assert session.ref is not None
        if method == "datastore.dispatch_and_set":
            self._spawn(self._answer_batch(session, identifier, session.ref, params))
        elif method not in self._methods:
            session.refuse(identifier, RpcError(f"there is no method {method!r}"), rpc.METHOD_NOT_FOUND)
        elif session.ref in self._unfinished:
            self._spawn(self._answer_in_turn(session, identifier, session.ref, self._methods[method], params))
        else:
            self._submit(session, identifier, session.ref, self._methods[method], params)

    async def carry_out_batches(self, ref: str) -> None:
        """Carry out what a sensor, or its last container, has begun, if the database can be reached now.

        What cannot be carried out is before the sensor's next call. Raises DatastoreError, LeaseLost and OutboxError.
        """
        self._unfinished.add(ref)
        async with self._lock(ref):
            await self._finish_all(ref, patient=False)

    def release(self, ref: str, before: float) -> None:
        """A sensor is asked to stop: answer what it has asked for before a time of the loop's clock."""
        self._storing.give_up(ref)
        self._storing.release(ref, before)

    async def close(self) -> None:
        """Announce what was not announced yet. What waits for the database does so no longer."""
        waiting = list(self._tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        self._announce_all()

    def _submit(
        self, session: Session, identifier: int | None, ref: str, method: Method, params: dict[str, Any]
    ) -> None:
        def done(result: Any, error: Exception | None) -> None:
            if error is None:
                session.answer(identifier, method.answer(result))
                if isinstance(result, Change):
                    self._announce(result)
            else:
                if isinstance(error, DatastoreUnavailable) and error.uncertain:
                    # Whoever asks next hears what has become of it, and not what was true before.
                    self._unfinished.add(ref)
                _refuse(session, identifier, error)

        call = self._while_held(ref, partial(method.call, self._node.asker(ref), **params))
        patient = not self._node.is_stopping(ref)
        self._storing.submit(ref, call, done, repeatable=method.repeatable, writes=method.writes, patient=patient)

    async def _answer_in_turn(
        self, session: Session, identifier: int | None, ref: str, method: Method, params: dict[str, Any]
    ) -> None:
        try:
            async with self._lock(ref):
                await self._finish_all(ref)
            self._submit(session, identifier, ref, method, params)
        except Exception as exception:  # noqa: BLE001 (whatever it is, the sensor waits for an answer)
            _refuse(session, identifier, exception)

    async def _answer_batch(self, session: Session, identifier: int | None, ref: str, params: dict[str, Any]) -> None:
        try:
            answer = await self._dispatch_and_set(ref, **params)
        except Exception as exception:  # noqa: BLE001 (told to the sensor, and logged there if nobody expects it)
            _refuse(session, identifier, exception)
        else:
            session.answer(identifier, answer)

    async def _dispatch_and_set(
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
        """False, with nothing done, when the key has another value than the expected one.

        :param payloads: of the events, in their order; None where each event has its own.
        """
        given: list[bytes] | list[None] = [None] * len(events) if payloads is None else payloads
        if len(given) != len(events):
            raise ValueError("there is one payload for each event")
        entries = [await self._entry_of(ref, event, payload) for event, payload in zip(events, given, strict=True)]
        draft = Batch(
            id=uuid.uuid4().hex,
            sensor=ref,
            name=name,
            expected=expected,
            value=value,
            events=tuple(asdict(entry) for entry in entries),
            fence=self._tenure.fence_of(ref),
        )
        asker = self._node.asker(ref)
        async with self._lock(ref):
            await self._finish_all(ref)
            # From here on until it is carried out, or known not to be stored, others wait.
            self._unfinished.add(ref)
            begin = partial(self._datastore.begin, asker, draft, local=local, is_expected=is_expected)
            try:
                batch = await self._run(ref, begin, writes=True)
            except (TypeError, ValueError):
                self._unfinished.discard(ref)
                raise
            if batch is None:
                self._unfinished.discard(ref)
                return False
            finished = await self._finish_or_leave(ref, batch)
            if finished or batch.sensor != ref:
                # Another sensor's may have been in the way; then this one is not stored.
                self._unfinished.discard(ref)
            return bool(batch.id == draft.id)

    async def _finish_or_leave(self, ref: str, batch: Batch) -> bool:
        """Carry out a batch. What does not succeed now does before its sensor looks at the key again."""
        try:
            await self._finish(ref, batch)
        except (DatastoreError, LeaseLost, OutboxError) as exception:
            LOG.warning("%s: triggers and cursor are stored, and are carried out later: %s", batch.sensor, exception)
            return False
        return True

    async def _finish_all(self, ref: str, *, patient: bool = True) -> None:
        if ref in self._unfinished:
            for batch in await self._run(ref, partial(self._datastore.unfinished, ref), patient=patient):
                await self._finish(ref, batch)
            self._unfinished.discard(ref)

    async def _finish(self, ref: str, batch: Batch) -> None:
        """Put the triggers on their way, then set the key.

        :param ref: the sensor for which that is done: it may be another's that is in its way.
        """
        try:
            entries = [self._dispatcher.adopted(_entry(event), ref) for event in batch.events]
        except TypeError as exception:
            raise DatastoreError(f"a batch of {batch.sensor} is of another version of st2sensor: {exception}") from None
        await asyncio.gather(*[self._dispatcher.put(entry) for entry in entries])
        change = await self._run(ref, partial(self._datastore.finish, batch))
        if change is not None:
            self._announce(change)

    def _while_held(self, ref: str, call: Callable[[], Any]) -> Callable[[], Any]:
        """A call that is made only while its sensor is held as it is now, however long it waits. Raises LeaseLost."""
        fence = self._tenure.fence_of(ref)

        def checked() -> Any:
            if not self._tenure.is_held(ref, fence):
                raise LeaseLost(ref)
            return call()

        return checked

    async def _run(self, ref: str, call: Callable[[], Any], *, writes: bool = False, patient: bool = True) -> Any:
        call = self._while_held(ref, call)
        patient = patient and not self._node.is_stopping(ref)
        return await self._storing.run(ref, call, writes=writes, patient=patient)

    def _announce(self, change: Change) -> None:
        """From any thread: have a change announced, a little later, with those that have come by then."""
        if self._emits and not _is_bookkeeping(change):
            self._changes.append(change)
            if not self._announcing:
                self._announcing = True
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._loop.call_later, ANNOUNCE_DELAY, self._announce_all)

    def _announce_all(self) -> None:
        # Before the changes are taken: one that comes meanwhile is taken now or has this called again.
        self._announcing = False
        if not self._dispatcher.has_room:
            if self._changes and self._emitting:
                LOG.warning("changes of the datastore are not announced until the outbox has room")
            self._emitting = not self._changes
            self._changes.clear()
            return
        self._emitting = True
        while self._changes:
            for trigger, payload in triggers_of(self._changes.popleft()):
                self._node.emit(trigger, payload)

    def _lock(self, ref: str) -> asyncio.Lock:
        return self._locks.setdefault(ref, asyncio.Lock())

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _entry(event: Mapping[str, Any]) -> Entry:
    """A trigger of a batch, as it was stored. Raises TypeError for what is none."""
    entry = Entry(**event)
    for name, kinds in ENTRY.items():
        if not isinstance(getattr(entry, name), kinds):
            raise TypeError(f"{name} of a trigger is a {type(getattr(entry, name)).__name__}")
    return entry


def _refuse(session: Session, identifier: int | None, error: Exception) -> None:
    if isinstance(error, (St2SensorError, TypeError, ValueError)):
        session.refuse(identifier, error)
    else:
        LOG.error("%s: a datastore call failed", session.ref, exc_info=error)
        session.refuse(identifier, error, rpc.INTERNAL_ERROR)


def _is_bookkeeping(change: Change) -> bool:
    """Whether it is of a key that sensors of the bundled pack keep for themselves: nobody's event."""
    entry = change.new or change.old
    return entry is not None and entry.name.startswith(BOOKKEEPING)


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
