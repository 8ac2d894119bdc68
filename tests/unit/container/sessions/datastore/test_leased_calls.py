"""Calls that are made only under the fence that their sensor had when it submitted them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from st2sensor.container.sessions.datastore.call import OnDone
from st2sensor.container.sessions.datastore.database_calls import DatabaseCalls
from st2sensor.container.sessions.datastore.leased_calls import LeasedCalls
from st2sensor.errors import LeaseLost
from tests.unit.container.sessions.fakes import FakeNode


class Calls:
    """Keeps calls until a test makes them, and returns the fence that is held."""

    def __init__(self) -> None:
        self.fence: int | None = 1
        self.kept: list[Callable[[], Any]] = []
        self.patient: list[bool] = []
        self.done: list[object] = []
        self.node = FakeNode()
        self.leased = LeasedCalls(cast(DatabaseCalls, self), self, self.node)

    def fence_of(self, sensor: str) -> int | None:
        if self.fence is None:
            raise LeaseLost(sensor)
        return self.fence

    def is_held(self, sensor: str, fence: int | None) -> bool:  # noqa: ARG002
        return self.fence == fence

    def submit(self, ref: str, call: Callable[[], Any], done: OnDone, *, patient: bool, **options: bool) -> None:
        assert (ref, options) == ("p.S", {"repeatable": False, "writes": True})
        self.kept.append(call)
        self.patient.append(patient)
        done("done", None)

    async def run(self, ref: str, call: Callable[[], Any], *, patient: bool, writes: bool) -> Any:
        assert (ref, writes) == ("p.S", False)
        self.patient.append(patient)
        return call()

    def give_up(self, ref: str) -> None:
        self.done.append(("give up", ref))

    def release(self, ref: str, before: float) -> None:
        self.done.append(("release", ref, before))


@pytest.mark.parametrize("fence", [None, 2])
def test_a_call_fails_if_its_fence_is_lost_before_its_turn(fence: int | None) -> None:
    calls = Calls()
    calls.leased.submit("p.S", lambda: "made", lambda *_: None, repeatable=False, writes=True)
    assert calls.kept[0]() == "made"
    calls.fence = fence
    with pytest.raises(LeaseLost):
        calls.kept[0]()


def test_nothing_is_submitted_without_a_lease() -> None:
    calls = Calls()
    calls.fence = None
    with pytest.raises(LeaseLost):
        calls.leased.submit("p.S", lambda: None, lambda *_: None)
    with pytest.raises(LeaseLost):
        asyncio.run(calls.leased.run("p.S", lambda: None))
    assert calls.kept == []


def test_a_sensor_that_stops_does_not_wait_for_a_database_that_is_away() -> None:
    calls = Calls()
    asyncio.run(calls.leased.run("p.S", lambda: None))
    asyncio.run(calls.leased.run("p.S", lambda: None, patient=False))
    calls.node.stopping = {"p.S"}
    asyncio.run(calls.leased.run("p.S", lambda: None))
    calls.leased.submit("p.S", lambda: None, lambda *_: None, repeatable=False, writes=True)
    assert calls.patient == [True, False, False, False]
    calls.leased.release("p.S", 4.0)
    assert calls.done == [("give up", "p.S"), ("release", "p.S", 4.0)]
