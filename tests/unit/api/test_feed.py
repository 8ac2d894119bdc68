"""Waiting for events of a history."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.api.feed import CONSUMED, EventFeed
from st2sensor.errors import HistoryError
from st2sensor.history.event import State
from st2sensor.history.filters import Filters
from st2sensor.history.writer import HistoryWriter, NoHistory
from st2sensor.settings import History as Options
from tests.plugins.patience import AT_LAST, SOON
from tests.unit.history.test_writer import outcome, record, write

CONSUMER = Filters(states=CONSUMED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_events_come_with_their_cursors(path: Path) -> None:
    write(path, [outcome(1), outcome(2, state=State.DEAD), outcome(3, state=State.UNROUTED)])

    async def consume() -> None:
        with closing(EventFeed(path, NoHistory().tell)) as feed:
            found = await feed.next(None, CONSUMER, 100, 0)
            assert [json.loads(text)["time"][17:19] for text, _ in found.events] == ["01", "03"]
            assert found.cursor == found.events[-1][1] == await feed.end()
            again = await feed.next(found.events[0][1], CONSUMER, 100, 0)
            assert [text for text, _ in again.events] == [found.events[1][0]]

    asyncio.run(consume())


def test_a_consumer_is_answered_as_soon_as_there_is_an_event(path: Path) -> None:
    write(path, [outcome(1)])

    async def consume() -> None:
        opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
        with closing(opened) as writer, closing(EventFeed(path, writer.tell)) as feed:
            consumers = [feed.next(await feed.end(), CONSUMER, 100, AT_LAST) for _ in range(3)]
            waiting = [asyncio.ensure_future(consumer) for consumer in consumers]
            for number in (2, 3):
                # Nobody is waiting for a dead letter.
                await asyncio.to_thread(record, writer, [outcome(number, state=State.DEAD)])
            assert not any(consumer.done() for consumer in waiting)
            await asyncio.to_thread(record, writer, [outcome(4)])
            async with asyncio.timeout(SOON):
                assert [len(found.events) for found in await asyncio.gather(*waiting)] == [1, 1, 1]

    asyncio.run(consume())


def test_a_consumer_without_events_is_answered_after_its_wait(path: Path) -> None:
    write(path, [outcome(1, state=State.DEAD)])

    async def consume() -> None:
        with closing(EventFeed(path, NoHistory().tell)) as feed:
            found = await feed.next(None, CONSUMER, 100, 0.01)
            assert (found.events, found.cursor) == ([], await feed.end())

    asyncio.run(consume())


def test_a_missing_history_is_an_error(path: Path) -> None:
    async def consume() -> None:
        with closing(EventFeed(path, NoHistory().tell)) as feed, pytest.raises(HistoryError):
            await feed.next(None, CONSUMER, 100, 0)

    asyncio.run(consume())


def test_consumers_are_answered_when_the_feed_is_closed(path: Path) -> None:
    write(path, [outcome(1)])

    async def consume() -> None:
        feed = EventFeed(path, NoHistory().tell)
        end = await feed.end()
        waiting = [asyncio.ensure_future(feed.next(end, CONSUMER, 100, AT_LAST)) for _ in range(3)]
        await asyncio.sleep(0)
        # They have asked the only thread that reads, which answers them before this.
        await feed.end()
        feed.close()
        async with asyncio.timeout(SOON):
            assert [(list(found.events), found.cursor) for found in await asyncio.gather(*waiting)] == [([], end)] * 3
            with pytest.raises(HistoryError, match="is stopping"):
                await feed.next(end, CONSUMER, 100, AT_LAST)

    asyncio.run(consume())
