from __future__ import annotations

import asyncio
import gc
import json
import logging
import sqlite3
import weakref
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest

from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.node import Node
from st2sensor.dispatch import dispatcher as dispatcher_module
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.checker import Checker, Problem
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event, event_of
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import OutboxError
from st2sensor.models import Refusal, Trigger, TriggerInstance, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.portable import rpc
from st2sensor.portable.payload import pack
from st2sensor.settings import Payloads
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.unit.outbox.test_outbox import entry, on_disk

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "required": True}}}
TYPES = [
    TriggerType(pack="p", name="plain"),
    TriggerType(pack="p", name="strict", payload_schema=SCHEMA),
    TriggerType(pack="p", name="broken", payload_schema={"type": "nosuchtype"}),
    TriggerType(pack="p", name="slow", payload_schema={"properties": {"s": {"type": "string", "pattern": "^(a+)+$"}}}),
]
TRIGGERS = [Trigger(pack="p", name="a-uuid", type="p.strict", parameters={"x": 1}, id="6b098552fd47b32bd437da91")]
REFUSED = Refusal(pack="p", name="refused", metadata_file="sensors/s.yaml", error="s.yaml:6: payload_schema is wrong")
CATASTROPHE = {"s": "a" * 50 + "!"}
"""Matching the pattern against it takes longer than anybody waits."""

MAX_PAYLOAD = 10_000


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `finish` wait for checks even on a slow machine."""
    monkeypatch.setattr(dispatcher_module, "LAST_CHECKS_TIMEOUT", SOON)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(tmp_path / "outbox.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    known = Catalogue()
    known.learn(TYPES, TRIGGERS, [REFUSED])
    return known


@pytest.fixture(scope="module")
def checker(catalogue: Catalogue) -> Iterator[Checker]:
    with closing(Checker(catalogue, Payloads(max_size=MAX_PAYLOAD, validation_timeout=SOON))) as made:
        yield made


def event(trigger: Any, payload: Any, schema: str | None = None) -> Event:
    return event_of(TriggerInstance(trigger=trigger, payload=payload), schema)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, SOON))


def outcome(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path, dispatched: Event, *, validate: bool = True
) -> tuple[int, list[str]]:
    """Return the number of entries to be published, and the reasons of the dead letters."""
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=validate)

    async def dispatch() -> None:
        dispatcher.dispatch("p.S", dispatched, lambda _: None)
        await dispatcher.finish()

    run(dispatch())
    outbox.close()
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as connection:
        reasons = [reason for (reason,) in connection.execute("SELECT reason FROM dead_letters")]
    return len(on_disk(path)), reasons


@pytest.mark.parametrize(
    ("trigger", "payload"),
    [
        ("p.plain", {"anything": [1, None]}),
        ("p.strict", {"n": 1}),
        ("p.a-uuid", {"n": 1}),
        ({"type": "p.strict", "parameters": {"x": 1}}, {"n": 1}),
        ({"ref": "p.a-uuid", "id": "1"}, {"n": 1}),
        ({"id": TRIGGERS[0].id}, {"n": 1}),
        ({"uid": TRIGGERS[0].uid}, {"n": 1}),
        ({"uid": "trigger:p:plain:99914b932bd37a50b983c5e7c90ae93b"}, {}),
        ({"pack": "p", "name": "plain"}, {}),
        ("p.slow", {"s": "aaa"}),
    ],
)
def test_what_fits_is_published(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path, trigger: Any, payload: Any
) -> None:
    assert outcome(outbox, catalogue, checker, tmp_path, event(trigger, payload)) == (1, [])


@pytest.mark.parametrize(
    ("trigger", "payload", "reason"),
    [
        ("p.unknown", {}, "trigger p.unknown is not registered"),
        ({"name": "x"}, {}, "trigger x is not registered"),
        ({"id": "6b0"}, {}, "trigger 6b0 is not registered"),
        ({"id": {"$oid": TRIGGERS[0].id}}, {}, "trigger {'$oid': '6b098552fd47b32bd437da91'} is not registered"),
        ({"id": TRIGGERS[0].id}, {"n": "s"}, "the payload does not fit the payload_schema of p.strict: n: is of type"),
        ({"uid": TRIGGERS[0].uid}, {}, "the payload does not fit the payload_schema of p.strict: lacks the required"),
        ({"uid": "trigger_type:p:plain"}, {}, "trigger trigger_type:p:plain is not registered"),
        ({"uid": ["trigger"]}, {}, "trigger ['trigger'] is not registered"),
        ("p.refused", {}, "trigger type p.refused was refused: s.yaml:6: payload_schema is wrong"),
        ({"type": "p.refused", "parameters": {}}, {}, "trigger type p.refused was refused: s.yaml:6: payload"),
        pytest.param("p.\udc80", {"s": "\ud800"}, "trigger p.\\udc80 is not registered", id="surrogates"),
        ("p.strict", {}, "the payload does not fit the payload_schema of p.strict: lacks the required property n"),
        ("p.a-uuid", {"n": "s"}, "the payload does not fit the payload_schema of p.strict: n: is of type string, not "),
        ("p.broken", {}, "the payload does not fit the payload_schema of p.broken: the schema itself is wrong"),
        ("p.plain", [1], "the payload is of type array, not object"),
        ("p.plain", 1, "the payload is of type number, not object"),
        ("p.plain", {"x": "x" * MAX_PAYLOAD}, "the payload has 10,008 bytes, more than [system] max_payload = 10,000"),
    ],
)
def test_what_does_not_fit_is_kept_as_a_dead_letter(
    outbox: Outbox,
    catalogue: Catalogue,
    checker: Checker,
    tmp_path: Path,
    trigger: Any,
    payload: Any,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What one of these logs cannot be passed from one process of the test run to another.
    caplog.set_level(logging.CRITICAL)
    published, reasons = outcome(outbox, catalogue, checker, tmp_path, event(trigger, payload))
    assert published == 0
    assert len(reasons) == 1
    assert reasons[0].startswith(reason)


def test_a_payload_that_is_not_json_is_kept_as_a_dead_letter(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path
) -> None:
    published, reasons = outcome(outbox, catalogue, checker, tmp_path, Event(trigger="p.strict", payload=b"{n: 1}"))
    assert (published, len(reasons)) == (0, 1)
    assert reasons[0].startswith("the payload cannot be checked")


def test_a_payload_of_more_than_json_is_checked_in_the_form_that_consumers_get(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path
) -> None:
    tagged = Event(trigger="p.plain", payload=rpc.body(pack({1, 2})), tagged=True)
    published, reasons = outcome(outbox, catalogue, checker, tmp_path, tagged)
    assert (published, reasons) == (0, ["the payload is of type array, not object"])


def test_a_check_that_takes_too_long_is_given_up(outbox: Outbox, catalogue: Catalogue, tmp_path: Path) -> None:
    with closing(Checker(catalogue, Payloads(validation_timeout=0.5))) as checker:
        published, reasons = outcome(outbox, catalogue, checker, tmp_path, event("p.slow", CATASTROPHE))
    assert published == 0
    assert reasons == ["checking the payload against the payload_schema of p.slow took more than 0.5 s"]


def test_without_validation_an_invalid_payload_is_published_with_a_warning(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert outcome(outbox, catalogue, checker, tmp_path, event("p.strict", {}), validate=False) == (1, [])
    assert "published all the same" in caplog.text


class Refusing(Checker):
    """Rejects everything, once a test lets it answer."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__(catalogue, Payloads())
        self.checked: list[str] = []
        self.go_on = asyncio.Event()

    async def verdict(
        self,
        sensor: str,
        event: Event,  # noqa: ARG002
        trigger_type: TriggerType,  # noqa: ARG002
        paths: Sequence[str] = (),  # noqa: ARG002
    ) -> tuple[Problem | None, str | None]:
        self.checked.append(sensor)
        await self.go_on.wait()
        return Problem("wrong"), None


def test_what_the_sensor_has_checked_with_today_s_schema_is_not_checked_again(
    outbox: Outbox, catalogue: Catalogue, tmp_path: Path
) -> None:
    checker = Refusing(catalogue)
    schema = catalogue.digest_of(TYPES[1])
    assert outcome(outbox, catalogue, checker, tmp_path, event("p.strict", {}, schema)) == (1, [])
    assert checker.checked == []


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        ({"anything": 1}, []),
        ([1], ["the payload is of type array, not object"]),
        ({"x": "x" * MAX_PAYLOAD}, ["the payload has 10,008 bytes, more than [system] max_payload = 10,000"]),
    ],
)
def test_what_has_a_refused_type_is_published_where_payloads_are_not_validated(
    outbox: Outbox,
    catalogue: Catalogue,
    checker: Checker,
    tmp_path: Path,
    payload: Any,
    reasons: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    found = outcome(outbox, catalogue, checker, tmp_path, event("p.refused", payload), validate=False)
    assert found == (0 if reasons else 1, reasons)
    said = "p.S dispatched p.refused, published all the same: its trigger type was refused: s.yaml:6: payload_schema"
    assert any(said in record.getMessage() for record in caplog.records)


def test_what_nobody_declared_is_never_published(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, tmp_path: Path
) -> None:
    found = outcome(outbox, catalogue, checker, tmp_path, event("p.no", {}), validate=False)
    assert found == (0, ["trigger p.no is not registered"])


def test_a_schema_that_changes_is_noticed(outbox: Outbox, checker: Checker) -> None:
    catalogue = Catalogue()
    catalogue.learn(TYPES, TRIGGERS)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=True)
    before = dispatcher.schema_for("p.S", dispatcher.type_of("p.strict"))
    assert before is not None
    assert (
        dispatcher.schema_for(
            "p.S",
            dispatcher.type_of("p.strict"),
            Event(trigger="p.strict", payload=b"{}", schema=str(before["digest"])),
        )
        is None
    )
    catalogue.learn([TriggerType(pack="p", name="strict", payload_schema={"required": ["m"]})], [])
    after = dispatcher.schema_for(
        "p.S", dispatcher.type_of("p.strict"), Event(trigger="p.strict", payload=b"{}", schema=str(before["digest"]))
    )
    assert after is not None
    assert after["digest"] != before["digest"]
    assert "m" in str(after["program"])
    assert dispatcher.schema_for("p.S", dispatcher.type_of("p.unknown")) is None


def test_the_events_of_a_sensor_keep_their_order_whoever_checks_them(
    outbox: Outbox, catalogue: Catalogue, tmp_path: Path
) -> None:
    checker = Refusing(catalogue)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=False)
    told: list[str] = []

    async def dispatch() -> None:
        dispatcher.dispatch("p.S", event("p.strict", {"n": 1}), lambda _: told.append("first"))
        dispatcher.dispatch("p.S", event("p.plain", {"n": 2}), lambda _: told.append("second"))
        dispatcher.dispatch("p.Other", event("p.plain", {"n": 3}), lambda _: told.append("other"))
        while not told:
            await asyncio.sleep(0)
        assert told == ["other"]
        checker.go_on.set()
        await dispatcher.finish()

    run(dispatch())
    outbox.close()
    assert told == ["other", "first", "second"]
    assert [json.loads(body)["payload"]["n"] for body in on_disk(tmp_path / "outbox.db")] == [3, 1, 2]


def test_what_waits_for_its_check_when_its_sensor_stops_is_never_sent(
    outbox: Outbox, catalogue: Catalogue, tmp_path: Path
) -> None:
    checker = Refusing(catalogue)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=False)
    told: list[Exception | None] = []

    async def dispatch() -> None:
        for n in range(3):
            dispatcher.dispatch("p.S", event("p.strict", {"n": n}), told.append)
        await asyncio.sleep(0)
        dispatcher.withdraw("p.S")
        checker.go_on.set()
        await dispatcher.finish()

    run(dispatch())
    outbox.close()
    assert [type(error) for error in told] == [OutboxError] * 3
    assert on_disk(tmp_path / "outbox.db") == []


def test_slow_checks_hold_up_no_quick_ones(catalogue: Catalogue) -> None:
    with closing(Checker(catalogue, Payloads(validation_timeout=SOON))) as checker:

        async def check() -> str | None:
            slow = [asyncio.ensure_future(checker.objection(f"p.S{n}", event("p.slow", CATASTROPHE))) for n in range(6)]
            quick = await checker.objection("p.Quick", event("p.strict", {"n": 1}))
            assert not any(task.done() for task in slow)
            for task in slow:
                task.cancel()
            checker.close()
            return quick

        assert run(check()) is None


class Counting(Catalogue):
    """Counts look-ups of types."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up: list[object] = []

    def type_of(self, trigger: Any) -> TriggerType | None:
        self.looked_up.append(trigger)
        return super().type_of(trigger)


def test_the_type_of_an_event_that_a_wrapper_dispatches_is_looked_up_once(outbox: Outbox, tmp_path: Path) -> None:
    catalogue = Counting()
    catalogue.learn(TYPES, TRIGGERS)
    checker = Refusing(catalogue)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=True)
    session = MagicMock(ref="p.S", is_released=lambda _: False)
    params = {"trigger": "p.strict", "schema": catalogue.digest_of(TYPES[1])}
    EventMethods(create_autospec(Node), dispatcher).dispatch(session, 1, params, [b'{"n": 1}'])
    outbox.close()
    assert catalogue.looked_up == ["p.strict"]
    assert len(on_disk(tmp_path / "outbox.db")) == 1
    session.answer.assert_called_once_with(1, None)


class Entries(list[Entry]):
    """A list that can be referred to weakly."""


def test_entries_that_are_refused_are_not_kept_in_memory(
    outbox: Outbox, catalogue: Catalogue, checker: Checker
) -> None:
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=True)

    async def put() -> None:
        entries = Entries([replace(entry(1), trigger="\ud800")])
        gone = weakref.ref(entries)
        gc.disable()
        try:
            with pytest.raises(OutboxError, match="does not accept this trigger"):
                await dispatcher.put(entries)
            del entries
            await asyncio.to_thread(eventually, "they are gone", lambda: gone() is None)
        finally:
            gc.enable()

    run(put())


def test_a_refused_dispatch_by_hand_is_not_logged_as_a_dead_letter(
    outbox: Outbox, catalogue: Catalogue, checker: Checker, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), checker, validate=True)
    refused = run(dispatcher.entry("core", replace(event("p.none", {}), by_hand=True)))
    assert refused.reason == "trigger p.none is not registered"
    assert [record.getMessage() for record in caplog.records] == [
        "refused to dispatch p.none by hand: trigger p.none is not registered"
    ]
