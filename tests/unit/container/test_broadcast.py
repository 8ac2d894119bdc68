"""How many events wait for a watcher."""

from __future__ import annotations

import asyncio

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast


def test_events_that_wait_are_bounded_in_bytes() -> None:
    async def run() -> None:
        events = Broadcast()
        with events.watched([broadcast.TRIGGER]) as whole, events.watched([broadcast.TRIGGER], bodies=False) as brief:
            for number in range(10):
                events.tell(broadcast.TRIGGER, "p.S", trigger=f"p.{number}", body="x" * 1_000_000)
            taken = whole.taken()
            assert len(taken) == 3
            assert whole.missed() == 7
            assert [event["trigger"] for event in brief.taken()] == [f"p.{number}" for number in range(10)]
            # A single event may be larger, and there is room again.
            events.tell(broadcast.TRIGGER, "p.S", trigger="p.t", body="x" * 10_000_000)
            assert len((await whole.next())["body"]) == 10_000_000
            events.tell(broadcast.TRIGGER, "p.S", trigger="p.t", body="y")
            assert len(whole.taken()) == 1

    asyncio.run(run())


def test_the_text_of_an_event_is_cut() -> None:
    events = Broadcast()
    with events.watched([broadcast.ERROR]) as watcher:
        events.tell(broadcast.ERROR, "p.S", text="x" * 5_000_000 + "the point")
        (event,) = watcher.taken()
    assert len(event["text"]) == broadcast.LONGEST
    assert event["text"].endswith("the point")
