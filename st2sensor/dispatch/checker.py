"""Checks events in worker processes, each within a time limit. Used by the container.

A check first runs among the quick ones, for a short time. If it takes longer, it starts again among the slow ones. So
sensors with costly schemas wait only for each other, and no other sensor waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from st2sensor.dispatch.catalogue import NO_SCHEMA, Catalogue, name_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import WorkExceeded, WorkFailed
from st2sensor.models import Schema, TriggerType
from st2sensor.portable import rpc
from st2sensor.schemas.checks import UNKNOWN_SCHEMA
from st2sensor.schemas.objection import short
from st2sensor.settings import Payloads
from st2sensor.system.threads import Threads
from st2sensor.workers.pool import Pool

FUNCTIONS = {"check": "st2sensor.schemas.checks:check"}

PROCESSES = 2
"""Number of worker processes for quick checks. The number for slow checks is the same."""

QUICK = 0.25
"""Seconds that a quick check may take."""

KINDS = {b"[": "array", b'"': "string", b"t": "boolean", b"f": "boolean", b"n": "null"}
"""JSON's types by the first byte of a text. Any other byte begins a number."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The result of a check that an event has failed.

    :param reason: why the event must not be published, without quoting its payload.
    :param is_final: whether it must not be published even if invalid payloads are published.
    """

    reason: str
    is_final: bool = False


class Checker:
    """Checks the events of all sensors. For the loop's thread. The first worker process starts with the first check."""

    def __init__(self, catalogue: Catalogue, payloads: Payloads) -> None:
        self._catalogue = catalogue
        self._payloads = payloads
        self._timeout = payloads.validation_timeout
        self._quick, self._slow = _Lane("quick"), _Lane("slow")
        self._known_slow: set[tuple[str, str]] = set()
        """Pairs of sensor and trigger type whose last check was slow."""

    def first_problem(self, event: Event, trigger_type: TriggerType | None) -> str | None:
        """Return a problem of an event that can be found without decoding the payload, or None.

        :param trigger_type: the event's type; None if it is not registered.
        """
        payload, limit = event.payload, self._payloads.max_size
        if trigger_type is None:
            refusal = self._catalogue.refusal_of(event.trigger)
            if refusal is not None:
                return f"trigger type {short(refusal.ref)} was refused: {refusal.error}"
            return f"trigger {short(name_of(event.trigger))} is not registered"
        if event.withheld is not None:
            return f"the payload {event.withheld}, and is not kept"
        if len(payload) > limit:
            return f"the payload has {len(payload):,} bytes, more than [system] max_payload = {limit:,}"
        if not event.tagged and payload[:1] != b"{":
            return f"the payload is of type {KINDS.get(payload[:1], 'number')}, not object"
        return None

    def is_due(self, event: Event, trigger_type: TriggerType) -> bool:
        """Return whether the payload must be checked, because the sender has not checked it with the current schema."""
        digest = self._catalogue.digest_of(trigger_type)
        return event.schema != digest and (digest != NO_SCHEMA or event.tagged)

    async def verdict(
        self, sensor: str, event: Event, trigger_type: TriggerType, paths: Sequence[str] = ()
    ) -> tuple[Problem | None, str | None]:
        """Check the payload in a worker process. Return the problem, or None, and the event's key, or None.

        A check that cannot be completed also counts as a problem.

        :param paths: the paths of the values that make the key; empty to make none.
        """
        ref = trigger_type.ref
        check = _Check(ref, self._catalogue.digest_of(trigger_type), trigger_type.payload_schema, event, paths)
        try:
            found = await self._checked((sensor, ref), check)
        except WorkExceeded as exceeded:
            limit = f"{self._timeout:g} s" if exceeded.what == "time" else f"its share of {exceeded.what}"
            return Problem(f"checking the payload against the payload_schema of {ref} took more than {limit}"), None
        except WorkFailed as failure:
            return Problem(f"the payload cannot be checked: {failure}", is_final=True), None
        if "kind" in found:
            return Problem(f"the payload is of type {found['kind']}, not object", is_final=True), None
        return None if found["problem"] is None else Problem(found["problem"]), found["key"]

    async def objection(self, sensor: str, event: Event) -> str | None:
        """Return why an event must not be published, or None."""
        trigger_type = self._catalogue.type_of(event.trigger)
        reason = self.first_problem(event, trigger_type)
        if reason is None and trigger_type is not None and self.is_due(event, trigger_type):
            problem, _ = await self.verdict(sensor, event, trigger_type)
            reason = None if problem is None else problem.reason
        return reason

    def close(self) -> None:
        """End the worker processes. Checks in progress fail."""
        self._quick.close()
        self._slow.close()

    async def _checked(self, who: tuple[str, str], check: _Check) -> Any:
        if who not in self._known_slow and self._timeout > QUICK:
            try:
                return await self._quick.run(check, QUICK)
            except WorkExceeded as exceeded:
                if exceeded.what != "time":
                    raise
                self._known_slow.add(who)
        loop = asyncio.get_running_loop()
        found = await self._slow.run(check, self._timeout)
        began = check.began
        if began is not None and loop.time() - began < QUICK:
            self._known_slow.discard(who)
        return found


class _Check:
    """The check of one event.

    :ivar began: the time at which a worker process started it, on the loop's clock.
    """

    def __init__(self, ref: str, digest: str, declared: Schema | None, event: Event, paths: Sequence[str]) -> None:
        self._ref = ref
        self._digest = digest
        self._declared = declared
        self._event = event
        self._paths = list(paths)
        self.began: float | None = None

    def arguments(self, *, with_schema: bool) -> bytes:
        """Return the arguments of `checks.check` as JSON. The payload is not decoded."""
        known = [self._ref, self._digest, self._declared if with_schema else None, self._event.tagged, self._paths]
        return b"%b,%b]" % (rpc.body(known)[:-1], self._event.payload)


class _Lane:
    """A pool of worker processes. For each of them, a thread waits for its result."""

    def __init__(self, name: str) -> None:
        self._pool = Pool(FUNCTIONS, processes=PROCESSES)
        self._threads = Threads(PROCESSES, f"check-{name}")

    async def run(self, check: _Check, timeout: float) -> Any:
        loop = asyncio.get_running_loop()

        def call() -> Any:
            check.began = loop.time()
            found = self._pool.run("check", check.arguments(with_schema=False), timeout)
            if found == UNKNOWN_SCHEMA:
                found = self._pool.run("check", check.arguments(with_schema=True), timeout)
            return found

        return await loop.run_in_executor(self._threads, call)

    def close(self) -> None:
        self._pool.close()
        self._threads.shutdown()
