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
from st2sensor.status import feed, history
from st2sensor.status.feed import BACKLOG, EVENTS_LIMIT, MESSAGE_LIMIT, PAGES_LIMIT, Feed, Page
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
        self.total = 0

    async def node(self, sensors: object = None) -> NodeReport:  # noqa: ARG002
        return node(checks=(Check(name="broker", ok=True, since=1.0, reason=""),), notes=("a note",), sharing=SHARING)

    def throughput(self) -> tuple[int, int]:
        self.total += 7
        return self.total, 3

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


def test_all_sensors_are_told_in_full() -> None:
    async def test(made: Feed, _events: Broadcast) -> None:
        whole = json.loads(await made.whole())
        check("whole", whole)
        assert [item["ref"] for item in whole["sensors"]] == ["p.Full", "p.S"]
        assert whole["node"]["sharing"]["nodes"] == {"up": 2}

    served(Sensors(FULL, report()), test)


def test_the_first_message_holds_all_rows_the_past_and_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "INTERVAL", 0.0)

    async def test(made: Feed, events: Broadcast) -> None:
        events.tell(broadcast.ERROR, "p.S", text="Traceback\nKeyError: 'x'\n")
        made.open()
        while made._history.after(0.0)[1:] == []:
            await asyncio.sleep(0)
        opening = json.loads(await made.opening())
        check("opening", opening)
        assert [item["ref"] for item in opening["sensors"]] == ["p.Full", "p.S"]
        assert opening["node"]["sharing"] == {"up": 2, "drained": False, "sensors": 3, "held": 1}
        assert [event["text"] for event in opening["events"]] == ["KeyError: 'x'"]
        assert [sample[1:] for sample in opening["samples"][:2]] == [[0, 3], [7, 3]]

    served(Sensors(FULL, report()), test)


def test_later_messages_hold_the_fields_that_have_changed() -> None:
    sensors = Sensors(report("p.A"), report("p.B"))

    async def test(made: Feed, _events: Broadcast) -> None:
        page = made.join()
        await made.opening()
        found = await message(page)
        assert (found["sensors"], found["gone"], found["events"]) == ([], [], [])
        assert found["node"].keys() <= {"started"}, "the stand-in always starts just now"
        sensors.found = [replace(sensors.found[0], restarts=1, polls=5)]
        while not (found := await message(page))["gone"]:
            assert found["sensors"] == []
        assert found["gone"] == ["p.B"]
        assert found["sensors"] == [{"ref": "p.A", "restarts": 1}]

    served(sensors, test)


def test_messages_are_bounded_and_everything_arrives() -> None:
    sensors = Sensors(*(report(f"p.Sensor{number:04}") for number in range(1000)))

    async def test(made: Feed, _events: Broadcast) -> None:
        page = made.join()
        await made.opening()
        await page.get()
        sensors.found = [replace(item, restarts=1, memory=7) for item in sensors.found]
        sensors.found[999] = replace(sensors.found[999], state="backoff", reason="ended")
        seen: list[str] = []
        while len(seen) < 1000:
            text = await page.get()
            assert text is not None
            assert len(text) <= MESSAGE_LIMIT
            found = json.loads(text)
            check("changes", found)
            seen += [item["ref"] for item in found["sensors"]]
            assert found["waiting"] == 1000 - len(seen) or not seen
        assert seen[0] == "p.Sensor0999", "a new state comes before numbers"
        assert sorted(seen) == [item.ref for item in sensors.found]

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


def test_of_many_events_failures_and_the_newest_are_sent_and_the_others_counted() -> None:
    async def test(made: Feed, events: Broadcast) -> None:
        page = made.join()
        await message(page)
        events.tell(broadcast.ERROR, "p.S", text="the failure")
        for number in range(500):
            events.tell(broadcast.TRIGGER, "p.S", trigger=f"p.t{number}", body="{}")
        while not (found := await message(page))["events"]:
            pass
        assert found["events"][0]["text"] == "the failure"
        assert found["events"][-1]["trigger"] == "p.t499"
        assert len(json.dumps(found["events"], separators=(",", ":"))) <= EVENTS_LIMIT + 2
        assert len(found["events"]) + found["more"] == 501

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


def test_pages_are_limited_and_close_ends_them_all() -> None:
    async def test(made: Feed, _events: Broadcast) -> None:
        pages = [made.join() for _ in range(PAGES_LIMIT)]
        was_full = made.is_full
        made.leave(pages.pop())
        assert (was_full, made.is_full) == (True, False)
        made.close()
        assert [await page.get() for page in pages] == [None] * len(pages)

    served(Sensors(), test)
