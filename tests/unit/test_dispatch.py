from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from st2sensor.catalogue import Catalogue
from st2sensor.dispatch import Dispatcher
from st2sensor.models import Trigger, TriggerInstance, TriggerType
from st2sensor.outbox import Outbox
from st2sensor.traffic import Traffic
from tests.unit.test_outbox import on_disk

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "required": True}}}
TYPES = [
    TriggerType(pack="p", name="plain"),
    TriggerType(pack="p", name="strict", payload_schema=SCHEMA),
    TriggerType(pack="p", name="broken", payload_schema={"type": "nosuchtype"}),
]
TRIGGERS = [Trigger(pack="p", name="a-uuid", type="p.strict", parameters={"x": 1})]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(tmp_path / "outbox.db")) as opened:
        yield opened


def outcome(
    outbox: Outbox, tmp_path: Path, trigger: Any, payload: Any, *, validate: bool = True
) -> tuple[int, list[str]]:
    """How many are to be published, and the reasons of the dead letters."""
    catalogue = Catalogue()
    catalogue.learn(TYPES, TRIGGERS)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), validate=validate)
    dispatcher.dispatch("p.S", TriggerInstance(trigger=trigger, payload=payload), lambda _: None)
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
        ({"pack": "p", "name": "plain"}, {}),
    ],
)
def test_what_fits_is_published(outbox: Outbox, tmp_path: Path, trigger: Any, payload: Any) -> None:
    assert outcome(outbox, tmp_path, trigger, payload) == (1, [])


@pytest.mark.parametrize(
    ("trigger", "payload", "reason"),
    [
        ("p.unknown", {}, "trigger p.unknown is not registered"),
        ({"name": "x"}, {}, "trigger x is not registered"),
        pytest.param("p.\udc80", {"s": "\ud800"}, "trigger p.\\udc80 is not registered", id="surrogates"),
        ("p.strict", {}, "the payload does not fit the payload_schema of p.strict: 'n' is a required property"),
        ("p.a-uuid", {"n": "1"}, "the payload does not fit the payload_schema of p.strict: n: '1' is not of type"),
        ("p.broken", {}, "the payload does not fit the payload_schema of p.broken: the schema itself is wrong"),
        ("p.plain", [1], "the payload is a list, not a dict"),
    ],
)
def test_what_does_not_fit_is_kept_as_a_dead_letter(
    outbox: Outbox, tmp_path: Path, trigger: Any, payload: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    # What one of these logs cannot be passed from one process of the test run to another.
    caplog.set_level(logging.CRITICAL)
    published, reasons = outcome(outbox, tmp_path, trigger, payload)
    assert published == 0
    assert len(reasons) == 1
    assert reasons[0].startswith(reason)


def test_without_validation_an_invalid_payload_is_published_with_a_warning(
    outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert outcome(outbox, tmp_path, "p.strict", {}, validate=False) == (1, [])
    assert "published all the same" in caplog.text


def test_a_schema_that_changes_is_compiled_anew(outbox: Outbox, tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.learn(TYPES, TRIGGERS)
    dispatcher = Dispatcher(outbox, catalogue, Traffic(), validate=True)
    dispatcher.dispatch("p.S", TriggerInstance(trigger="p.strict", payload={"n": 1}), lambda _: None)
    catalogue.learn([TriggerType(pack="p", name="strict", payload_schema={"required": ["m"]})], [])
    dispatcher.dispatch("p.S", TriggerInstance(trigger="p.strict", payload={"m": 1}), lambda _: None)
    outbox.close()
    assert [json.loads(body)["payload"] for body in on_disk(tmp_path / "outbox.db")] == [{"n": 1}, {"m": 1}]
