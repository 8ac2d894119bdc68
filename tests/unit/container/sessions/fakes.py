"""Fakes for the wrapper protocol's methods: a session that records, and a node that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from st2sensor.container.sessions.session import Session, Waiting
from st2sensor.models import Trigger
from st2sensor.portable import rpc
from st2sensor.portable.keyspace import Asker
from tests.plugins.patience import SOON


class RecordingSession(Session):
    """A session without a socket. Records answers, errors with their codes, and notifications."""

    def __init__(self, ref: str | None = "p.S") -> None:
        self.ref = ref
        self.answers: list[tuple[int | None, Any]] = []
        self.errors: list[tuple[int | None, Exception]] = []
        self.codes: list[int] = []
        self.notes: list[tuple[str, rpc.Message]] = []
        self.expected: list[str] = []
        self.drained = self.ended = False
        self.waiting: Waiting | None = None
        self.released: list[float] = []
        self.heard_at = 0.0

    @property
    def is_closed(self) -> bool:
        return self.ended

    @property
    def oldest(self) -> Waiting | None:
        return self.waiting

    def expect(self, identifier: int, method: str) -> None:  # noqa: ARG002
        self.expected.append(method)

    def is_released(self, identifier: int | None) -> bool:
        return bool(self.released) and identifier is not None

    def release(self, before: float, exception: Exception) -> None:  # noqa: ARG002
        self.released.append(before)

    def answer(self, identifier: int | None, value: Any) -> None:
        self.answers.append((identifier, value))

    def refuse(self, identifier: int | None, exception: Exception, code: int = rpc.APPLICATION_ERROR) -> None:
        self.errors.append((identifier, exception))
        self.codes.append(code)

    def notify(self, method: str, params: rpc.Message) -> None:
        self.notes.append((method, params))

    def close(self) -> None:
        self.ended = True

    def drain(self) -> None:
        self.drained = True


class FakeNode:
    """Sensors of one node."""

    def __init__(self) -> None:
        self.assignments: dict[str, Any] = {}
        self.unfinished: set[str] = set()
        self.triggers: list[Trigger] = []
        self.stopping: set[str] = set()
        self.refreshed: Callable[[], None] = lambda: None
        self.refreshes = 0

    async def assignment(self, ref: str) -> dict[str, Any]:
        found = self.assignments[ref]
        if isinstance(found, Exception):
            raise found
        return dict(found)

    def may_have_batches(self, ref: str) -> bool:
        return ref in self.unfinished

    def triggers_of(self, ref: str) -> list[Trigger]:  # noqa: ARG002
        return self.triggers

    async def refresh(self) -> None:
        self.refreshes += 1
        self.refreshed()

    def is_stopping(self, ref: str) -> bool:
        return ref in self.stopping

    def asker(self, ref: str) -> Asker:
        return Asker(sensor=ref)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run its next steps."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0)
