"""Which shared sensors may run here, with a participant whose turns a test sets and clocks that it moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import pytest

from st2sensor.container.desired.membership import OVER, Membership, MembershipHooks
from st2sensor.errors import StorageUnavailable
from st2sensor.sharing.clocks import Moment, Term
from st2sensor.sharing.held_leases import HeldLeases
from st2sensor.sharing.participant import Participant, TurnInput, TurnResult
from st2sensor.sharing.times import times_of
from tests.plugins.patience import SOON

TIMES = times_of(3600.0)

START = Moment(1000.0, 5_000_000.0)

WANTED = {"p.A": (), "p.B": ("gpu",)}


class Node:
    """A participant, and the node that it takes part for."""

    def __init__(self) -> None:
        self.time = START
        self.holdings = HeldLeases(lambda: self.time)
        self.times = TIMES
        self.wanted: Mapping[str, tuple[str, ...]] | None = WANTED
        self.result: TurnResult | Exception = TurnResult(wait=3600.0)
        self.inputs: list[TurnInput] = []
        self.turns = asyncio.Semaphore(0)
        self.alive: list[str] = []
        self.events: list[object] = []
        self.is_closed = False
        self.close_error: Exception | None = None
        hooks = MembershipHooks(
            wanted=lambda: self.wanted,
            alive=lambda: self.alive,
            changed=lambda: self.events.append(("runs", dict(self.membership.runs))),
            over=lambda reason: self.events.append(("over", reason)),
            limit=lambda end: self.events.append(("limit", end)),
        )
        self.membership = Membership(cast(Participant, self), hooks)

    def turn(self, situation: TurnInput, extended: Callable[[], None]) -> TurnResult:  # noqa: ARG002
        self.inputs.append(situation)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def close(self) -> None:
        self.is_closed = True
        if self.close_error is not None:
            raise self.close_error

    def renew(self, **fences: int) -> None:
        self.holdings.extend(Term(since=self.time, seconds=TIMES.term, tolerance=TIMES.tolerance))
        self.holdings.hold({f"p.{name}": fence for name, fence in fences.items()})

    async def take_turn(self) -> list[object]:
        """Have a turn taken, and return its effects."""
        self.events.clear()
        before = len(self.inputs)
        self.membership._turned.clear()
        self.membership.poke()
        async with asyncio.timeout(SOON):
            while len(self.inputs) == before or not self.membership._turned.is_set():
                await self.membership._turned.wait()
        return list(self.events)

    def move(self, seconds: float) -> None:
        self.time = self.time.after(seconds)


def run(test: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        node = Node()
        try:
            await test(node)
        finally:
            node.holdings.lose()
            await node.membership.close()

    asyncio.run(main())


def test_a_sensor_may_run_while_it_is_held_and_wanted_and_does_not_move() -> None:
    async def test(node: Node) -> None:
        node.renew(A=1, B=2, C=3)
        events = await node.take_turn()
        assert ("runs", {"p.A": 1, "p.B": 2}) in events
        assert ("limit", START.after(TIMES.term)) in events
        assert node.membership.held == {"p.A": 1, "p.B": 2, "p.C": 3}
        node.result = TurnResult(wait=3600.0, moving=frozenset({"p.B"}))
        assert await node.take_turn() == [("runs", {"p.A": 1})]
        assert node.membership.why_not("p.B") == "another container will run it"
        assert node.membership.why_not("p.C") == OVER
        # Nothing has changed.
        assert await node.take_turn() == []

    run(test)


def test_a_turn_is_told_what_is_wanted_and_what_has_a_process_or_may_get_one() -> None:
    async def test(node: Node) -> None:
        node.renew(A=1)
        await node.take_turn()
        node.alive = ["p.Old"]
        await node.take_turn()
        assert node.inputs[-1] == TurnInput(wanted=WANTED, busy=frozenset({"p.Old", "p.A"}), leaving=False)

    run(test)


def test_no_turn_is_taken_until_it_is_known_what_is_wanted() -> None:
    async def test(node: Node) -> None:
        node.wanted = None
        node.membership.poke()
        for _ in range(5):
            await asyncio.sleep(0)
        assert node.inputs == []
        # The container is not a member, and has nothing to announce.
        await node.membership.announce()
        assert node.inputs == []

    run(test)


def test_leases_that_cannot_be_renewed_are_kept_until_their_end_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(node: Node) -> None:
        node.renew(A=1)
        await node.take_turn()
        node.result = StorageUnavailable("it is away")
        await node.take_turn()
        await node.take_turn()
        assert node.membership.runs == {"p.A": 1}
        assert node.membership.health.reason == "leases cannot be renewed: it is away"
        assert node.holdings.is_held("p.A", 1)
        assert "the sensors stop in 2160.0 s" in node.membership.time_left()
        # Near the end they are asked to stop.
        node.move(TIMES.term - TIMES.grace)
        assert ("runs", {}) in await node.take_turn()
        assert node.membership.why_not("p.A") == "its lease could not be renewed"
        assert node.holdings.is_held("p.A", 1)
        node.move(TIMES.grace)
        assert not node.holdings.is_held("p.A", 1)
        assert node.membership.time_left() == "no sensor runs until they are"
        # It continues when the leases are renewed.
        node.renew(A=4)
        node.result = TurnResult(wait=3600.0)
        assert ("runs", {"p.A": 4}) in await node.take_turn()
        assert node.membership.health.ok

    caplog.set_level(logging.INFO)
    run(test)
    assert caplog.text.count("leases cannot be renewed: it is away") == 1
    assert caplog.text.count("leases are renewed again") == 1


def test_at_the_end_all_are_stopped_at_once_unless_it_was_renewed_meanwhile() -> None:
    async def test(node: Node) -> None:
        node.renew(A=1)
        await node.take_turn()
        end = node.holdings.end
        node.events.clear()
        node.membership._end(end.after(1.0))
        node.membership._is_over(end.after(1.0))
        assert node.events == []
        node.membership._end(end)
        node.membership._is_over(end)
        assert node.events == [("runs", {}), ("over", OVER)]

    run(test)


def test_one_that_was_evicted_stops_all_at_once() -> None:
    async def test(node: Node) -> None:
        node.result = TurnResult(wait=3600.0, evicted="another container declared it dead")
        assert ("over", "another container declared it dead: another container may run it") in await node.take_turn()

    run(test)


def test_an_unforeseen_error_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def test(node: Node) -> None:
        node.result = MemoryError("no room")
        await node.take_turn()
        assert "MemoryError" in node.membership.health.reason
        node.result = TurnResult(wait=3600.0)
        await node.take_turn()
        assert node.membership.health.ok

    run(test)
    assert "leases cannot be renewed; " in caplog.text


def test_one_that_leaves_runs_nothing_and_says_so_before_it_releases(caplog: pytest.LogCaptureFixture) -> None:
    async def test(node: Node) -> None:
        node.renew(A=1)
        await node.take_turn()
        node.result = TurnResult(wait=3600.0, announced=True)
        await node.membership.announce()
        assert node.membership.runs == {}
        assert node.inputs[-1].leaving
        node.close_error = StorageUnavailable("it is away")

    run(test)
    assert "others will take this container's sensors when its lease expires" in caplog.text
