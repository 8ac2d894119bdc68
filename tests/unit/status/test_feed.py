"""The messages for the status page, from reports of a stand-in; each matches the schema."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

import pytest

from st2sensor import reports
from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.reporter import Reporter
from st2sensor.reports import Check, Hang, NodeReport, Notice, Poll, SensorReport, SharingReport
from st2sensor.status import feed
from st2sensor.status.feed import BACKLOG, BACKLOG_BYTES, EVENTS_LIMIT, PAGES_LIMIT, Feed, Page
from tests.plugins.patience import SOON
from tests.support.control_peer import node, report
from tests.support.status_schema import SCHEMA, check

NOTICE = Notice(at=1.0, text="Traceback\nValueError: x")
FULL = report(
    "p.Full",
    since=1.0,
    pid=7,
    hang=Hang(what="poll()", since=1.0, heard=None),
    last_exit=NOTICE,
    last_error=NOTICE,
    last_invalid=NOTICE,
    last_poll=Poll(at=1.0, seconds=0.5, running=True),
    trigger_types=("p.t",),
    refused_types=("p.u: bad",),
    recent=(0, 3),
)
SHARING = SharingReport(
    nodes={"up": 2}, drained=False, sensors=3, held=1, unheld=0, lease_left=5.5, takeovers=1, moves=2, losses=0
)


class Sensors:
    """Stands for the Reporter."""

    def __init__(self, *found: SensorReport) -> None:
        self.found = list(found)
        self.failing = False

    async def node(self) -> NodeReport:
        return node(checks=(Check(name="broker", ok=True, since=1.0, reason=""),), notes=("a note",), sharing=SHARING)

    async def sensors(self) -> list[SensorReport]:
        if self.failing:
            self.failing = False
            raise OSError("no file descriptor is left")
        return list(self.found)


def served(sensors: Sensors, test: Callable[[Feed, Broadcast], Awaitable[None]]) -> None:
    """Run a test with a feed, and end the feed."""

    async def run() -> None:
        events = Broadcast()
        made = Feed(cast(Reporter, sensors), events)
        try:
            async with asyncio.timeout(SOON):
                await test(made, events)
        finally:
            made.close()

    asyncio.run(run())


async def message(page: Page) -> dict[str, Any]:
    """Return the next message of a page, which must match the schema."""
    text = await page.get()
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    check("changes", found)
    return found


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "INTERVAL", 0.0)


@pytest.mark.parametrize(
    "kind", ["SensorReport", "Trouble", "NodeReport", "SharingReport", "Check", "Notice", "Poll", "Hang"]
)
def test_the_schema_has_just_the_fields_of_the_reports(kind: str) -> None:
    declared = getattr(reports, kind)
    assert is_dataclass(declared)
    names = [field.name for field in fields(declared)]
    assert list(SCHEMA["$defs"][kind]["properties"]) == SCHEMA["$defs"][kind]["required"] == names
    assert SCHEMA["$defs"][kind]["additionalProperties"] is False


def test_the_first_message_holds_everything() -> None:
    async def test(made: Feed, _events: Broadcast) -> None:
        whole = json.loads(await made.whole())
        check("whole", whole)
        assert [item["ref"] for item in whole["sensors"]] == ["p.Full", "p.S"]
        assert whole["node"]["sharing"]["nodes"] == {"up": 2}

    served(Sensors(FULL, report()), test)


def test_later_messages_hold_what_has_changed() -> None:
    sensors = Sensors(report("p.A"), report("p.B"))

    async def test(made: Feed, _events: Broadcast) -> None:
        page = made.join()
        assert [item["ref"] for item in (await message(page))["sensors"]] == ["p.A", "p.B"]
        sensors.found = [replace(sensors.found[0], restarts=1)]
        while not (found := await message(page))["gone"]:
            assert found["sensors"] == []
        assert found["gone"] == ["p.B"]
        assert [(item["ref"], item["restarts"]) for item in found["sensors"]] == [("p.A", 1)]
        found = await message(page)
        assert (found["sensors"], found["gone"], found["events"], found["more"]) == ([], [], [], 0)

    served(sensors, test)


def test_events_of_every_kind_reach_the_page_without_payloads() -> None:
    async def test(made: Feed, events: Broadcast) -> None:
        page = made.join()
        await message(page)
        events.tell(broadcast.STATE, "p.S", state="backoff", reason="it ended")
        events.tell(broadcast.TRIGGER, "p.S", trigger="p.t", body="{}", tagged=False, message_id="1")
        events.tell(broadcast.INVALID, "p.S", trigger="p.t", reason="no such type")
        events.tell(broadcast.ERROR, "p.S", text="Traceback")
        events.tell(broadcast.LINE, "p.S", level="INFO", text="not for pages")
        while not (found := await message(page))["events"]:
            pass
        assert [event["kind"] for event in found["events"]] == ["state", "trigger", "invalid", "error"]

    served(Sensors(), test)


def test_of_many_events_the_newest_are_sent_and_the_others_counted() -> None:
    async def test(made: Feed, events: Broadcast) -> None:
        page = made.join()
        await message(page)
        for number in range(EVENTS_LIMIT + 10):
            events.tell(broadcast.ERROR, "p.S", text=str(number))
        while not (found := await message(page))["events"]:
            pass
        assert [event["text"] for event in found["events"]] == [str(number) for number in range(10, EVENTS_LIMIT + 10)]
        assert found["more"] == 10

    served(Sensors(), test)


def test_a_failed_report_does_not_end_the_feed(caplog: pytest.LogCaptureFixture) -> None:
    sensors = Sensors(report())

    async def test(made: Feed, _events: Broadcast) -> None:
        page = made.join()
        sensors.failing = True
        assert [item["ref"] for item in (await message(page))["sensors"]] == ["p.S"]

    with caplog.at_level(logging.ERROR, "st2sensor.http"):
        served(sensors, test)
    assert "cannot send changes to the status page" in caplog.text
    assert "no file descriptor is left" in caplog.text


def test_a_page_that_does_not_read_is_closed() -> None:
    async def test(made: Feed, _events: Broadcast) -> None:
        slow, other = made.join(), made.join()
        while made._pages != {other}:
            await message(other)
        assert await slow.get() is None

    served(Sensors(), test)


def test_a_page_holds_a_limited_backlog() -> None:
    page = Page()
    assert [page.put(b"x") for _ in range(BACKLOG + 1)] == [True] * BACKLOG + [False]
    page = Page()
    # A single message may be larger than the limit: otherwise its page would never get anything.
    assert page.put(b"x" * (BACKLOG_BYTES + 1))
    assert not page.put(b"x")


def test_pages_are_limited_and_close_ends_them_all() -> None:
    async def test(made: Feed, _events: Broadcast) -> None:
        pages = [made.join() for _ in range(PAGES_LIMIT)]
        was_full = made.is_full
        made.leave(pages.pop())
        assert (was_full, made.is_full) == (True, False)
        made.close()
        assert [await page.get() for page in pages] == [None] * len(pages)

    served(Sensors(), test)
