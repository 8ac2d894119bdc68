"""Events in an outbox."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import OutboxError
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import COLUMNS, columns_of
from st2sensor.outbox.entry import Entry
from st2sensor.why.local_lives import PAGE, LocalLives

INSERT = f"INSERT INTO outbox ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def store(path: Path, identifier: str, *, reason: str | None = None, tag: str = "t", body: str | None = None) -> None:
    trace = {"id_": None, "trace_tag": tag}
    entry = Entry(
        message_id=identifier,
        sensor="p.S",
        trigger="p.uuid",
        trigger_type="p.t",
        created=float(len(identifier)),
        body=body or json.dumps({"trigger": "p.uuid", "payload": {"note": 't"x'}, "trace_context": trace}),
        fence=3,
    )
    with closing(open_file(path, "full")) as connection:
        if reason is None:
            connection.execute(INSERT, columns_of(entry))
        else:
            connection.execute(BURY, (*columns_of(entry), reason, 0.0, False))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def test_events_are_found_by_id_trace_and_trigger(path: Path) -> None:
    store(path, "a")
    store(path, "bb", reason="wrong", tag='quoted "tag"')
    lives = LocalLives(path)
    (found,) = lives.named("a")
    assert (found.is_waiting, found.is_dead, found.fence, found.payload) == (True, False, 3, {"note": 't"x'})
    (dead,) = lives.traced('quoted "tag"')
    assert (dead.message_id, dead.is_dead, dead.reason, dead.source) == ("bb", True, "wrong", "dead letters")
    assert [life.message_id for life in lives.of_trigger("p.t")] == ["bb", "a"]
    assert [life.message_id for life in lives.of_trigger("p.uuid")] == ["bb", "a"]
    assert lives.traced('t"x') == []


def test_only_a_page_is_returned(path: Path) -> None:
    for number in range(PAGE + 3):
        store(path, "x" * (number + 1))
    assert len(LocalLives(path).of_trigger("p.t")) == PAGE


@pytest.mark.parametrize("body", ["{", "[]", "[" * 10**5])
def test_an_event_that_cannot_be_read_has_no_payload(path: Path, body: str) -> None:
    store(path, "a", body=body)
    assert LocalLives(path).named("a")[0].payload is None


def test_without_an_outbox_there_are_no_events(path: Path) -> None:
    assert LocalLives(path).named("a") == []
    assert not path.exists()


def test_a_damaged_outbox_is_named(path: Path) -> None:
    path.write_bytes(b"x" * 4096)
    with pytest.raises(OutboxError, match=r"outbox\.db"):
        LocalLives(path).named("a")
