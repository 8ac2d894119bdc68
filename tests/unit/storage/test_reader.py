"""Documents that any program may have written: a malformed one is skipped with one warning, and affects no others."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.container.desired.snapshot import Snapshot, load, save
from st2sensor.errors import StorageError
from st2sensor.models import (
    SYSTEM_SCOPE,
    Batch,
    Expectation,
    KeyValue,
    Lease,
    Member,
    Overrides,
    Registration,
    Rule,
    SensorType,
    Trigger,
    TriggerType,
)
from st2sensor.storage import members
from st2sensor.storage.batches import batch_document
from st2sensor.storage.documents import COLLECTIONS
from st2sensor.storage.key_values import KEY_VALUES, key_value_document
from st2sensor.storage.members import LEASES, MEMBERS, member_document
from st2sensor.storage.mongo.decoding import TOLERANT, plain
from st2sensor.storage.reader import Reader
from st2sensor.storage.sqlite import SqliteLeases, SqliteStorage
from st2sensor.storage.sqlite.connection import TABLES, Connection

NOW = datetime(2026, 1, 1, tzinfo=UTC)

ENTITIES: list[Any] = [
    SensorType(pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S", trigger_types=("p.t",)),
    TriggerType(pack="p", name="t", payload_schema={"type": "object"}, tags=({"name": "a", "value": "b"},)),
    Trigger(pack="p", name="x", type="p.t", parameters={"n": 1}),
    Rule(pack="p", name="r", metadata_file="rules/r.yaml", trigger_type="p.t", parameters={"n": 1}, trigger="p.x"),
    Registration(
        pack="p",
        name="S",
        metadata_file="s.yaml",
        overrides=Overrides(
            start_timeout=1.5,
            setup_timeout=2.5,
            poll_timeout=0,
            trigger_timeout=3.5,
            memory=1,
            open_files=16,
            processes=2,
            nice=-1,
            run_as="nobody",
            log_level="DEBUG",
            global_write="allow",
            decrypt_global="deny",
            payloads="none",
            runs_on=("gpu",),
            expect=Expectation(event=21600.0, poll=300.0),
            limits={"rate": "10/s"},
        ),
    ),
]


def odd_text() -> Any:
    return bson.decode(bson.encode({"v": "XXXX"}).replace(b"XXXX", b"\xff\xfe\xfd\xfc"), TOLERANT)["v"]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.builds(ObjectId),
    st.builds(Int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(DatetimeMS, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda value: Decimal128(str(value)), st.integers(0, 10**9)),
    st.builds(Binary, st.binary(min_size=16, max_size=16), st.sampled_from([0, 3, 4, 5, 128])),
    st.builds(Regex, st.sampled_from(["a", "^b$"]), st.sampled_from([0, 2])),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.builds(Code, st.just("f()")),
    st.builds(lambda: Code("f()", {"a": 1})),
    st.builds(MinKey),
    st.builds(MaxKey),
    st.builds(DBRef, st.just("users"), st.integers(0, 9)),
    st.just(Decimal128("NaN")),
)
KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.sampled_from(["$ref", "$id", "$db", "$schema", "a.b", ""]),
)
VALUES = st.recursive(
    SCALARS, lambda parts: st.lists(parts, max_size=4) | st.dictionaries(KEYS, parts, max_size=4), max_leaves=8
)


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as it comes back from MongoDB."""
    found = plain(bson.decode(bson.encode(document), TOLERANT))
    assert found is not None
    return found


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
@given(data=st.data(), value=VALUES)
def test_any_value_in_any_field_stops_no_other_document(entity: Any, data: st.DataObject, value: Any) -> None:
    collection = COLLECTIONS[type(entity)]
    sound = {"_id": ObjectId(), **collection.to_document(entity)}
    field = data.draw(st.sampled_from([*sound, "unknown"]))
    found = Reader().read(type(entity), [stored(sound | {field: value}), stored(sound)])
    assert found[-1] == entity
    assert len(found) <= 2
    for item in found:
        # It can be sent to a wrapper, stored in a file, and compared.
        json.dumps(json.loads(json.dumps(collection.to_document(item), allow_nan=False)))
        assert item.ref
        hash(item.ref)


@given(data=st.data(), value=VALUES)
def test_any_value_in_an_override_stops_no_other_document(data: st.DataObject, value: Any) -> None:
    sound = {"_id": ObjectId(), **COLLECTIONS[Registration].to_document(ENTITIES[-1])}
    field = data.draw(st.sampled_from([*Overrides.__slots__, "unknown"]))
    found = Reader().read(Registration, [stored(sound | {"overrides": {field: value}}), stored(sound)])
    assert found[-1] == ENTITIES[-1]
    assert all(isinstance(item.overrides, Overrides) for item in found)


@given(data=st.data(), value=VALUES)
def test_any_value_in_an_entry_of_the_datastore_stops_no_other(data: st.DataObject, value: Any) -> None:
    entry = KeyValue(name="k", value="v", expire_timestamp=NOW + timedelta(days=1))
    sound = {"_id": ObjectId(), **key_value_document(entry)}
    field = data.draw(st.sampled_from(list(sound)))
    listed = [stored(sound | {field: value}), stored(sound)]

    def fetch(skip: int, limit: int | None) -> list[dict[str, Any]]:
        return listed[skip:] if limit is None else listed[skip : skip + limit]

    found = Reader().page(fetch, NOW, None, 0)
    assert found[-1] == entry
    assert all(isinstance(item.value, str) and isinstance(item.secret, bool) for item in found)


@given(data=st.data(), value=VALUES)
def test_any_value_in_a_batch_a_member_or_a_lease_stops_no_other(data: st.DataObject, value: Any) -> None:
    batch = Batch(id="1", sensor="p.S", name="k", expected=None, value="v", events=({"a": 1},))
    field = data.draw(st.sampled_from([*batch_document(batch), "unknown"]))
    lease = {"_id": "p.S", "holder": "m", "fence": 1, "batches": [batch_document(batch)]}
    odd = stored(lease | {"batches": [batch_document(batch) | {field: value}]})
    assert list(Reader().batches([odd, stored(lease | {"batches": value}), stored(lease)]))[-1] == batch

    names = {"id", "node", "host", "version", "token", "http"}
    filled = {name: "x" if name in names else 1 for name in Member.__slots__}
    member = Member(**filled | {"labels": ("a",), "handing": True, "leaving": True, "dead": True})  # type: ignore[arg-type]
    document = member_document(member)
    odd = stored(document | {data.draw(st.sampled_from(list(document))): value})
    assert list(Reader().sound(MEMBERS, members.member, [odd, stored(document)]))[-1] == member

    odd = stored(lease | {data.draw(st.sampled_from(list(lease))): value})
    leases = list(Reader().sound(LEASES, members.lease, [odd, stored(lease)]))
    assert leases[-1] == Lease(sensor="p.S", holder="m", fence=1, has_batches=True)


def test_a_warning_names_collection_document_and_field_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    document = stored({"_id": ObjectId("0" * 24), **COLLECTIONS[Trigger].to_document(ENTITIES[2]), "parameters": [7]})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert reader.read(Trigger, [document]) == []
    (message,) = caplog.messages
    assert message.startswith(f"collection trigger_d_b, document {'0' * 24} (p.x): parameters is a list")
    assert "7" not in message


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("trigger_types", 5, "trigger_types is a number, but must be a list"),
        ("trigger_types", [{"a": 1}], "trigger_types is an object, but must be text"),
        ("poll_interval", "abc", "poll_interval is text, but must be a number"),
        ("poll_interval", float("nan"), "poll_interval is not a finite number"),
        ("poll_interval", -1, "poll_interval must be at least 0"),
        ("pack", "../..", "pack cannot be the name of a file"),
        ("name", "X/../y", "name cannot be the name of a file"),
        ("name", "a\nb", "name contains characters that cannot be printed"),
        ("name", ObjectId(), "name is a value of type ObjectId, but must be text"),
        ("enabled", "yes", "enabled is text, but must be true or false"),
        ("description", DatetimeMS(2**62), "description is a date out of range, but must be text"),
        ("entry_point", None, "entry_point is null"),
        ("artifact_uri", odd_text(), "artifact_uri is not valid UTF-8"),
    ],
)
def test_what_is_wrong_is_said(field: str, value: Any, problem: str, caplog: pytest.LogCaptureFixture) -> None:
    sound = {"_id": ObjectId(), **COLLECTIONS[SensorType].to_document(ENTITIES[0])}
    document = plain(sound | {field: value})
    assert document is not None
    with caplog.at_level(logging.WARNING):
        assert Reader().read(SensorType, [document]) == []
    assert problem in caplog.text


def test_parameters_and_schemas_are_as_stackstorm_shows_them() -> None:
    schema = {"$schema": "x", "$id": "https://e/s", "$ref": "#/definitions/S", "definitions": {"S": {"type": "object"}}}
    identifier = ObjectId()
    parameters = {
        "match": {"$ref": "users", "$id": 7, "more": [1]},
        "when": datetime(2024, 1, 2),
        "far": DatetimeMS(2**53),
        "id": identifier,
        "amount": Decimal128("1.5"),
        "bytes": b"\x01",
        "uuid": Binary(bytes(16), 4),
        "pattern": Regex("a", 2),
        "nan": float("nan"),
        "long": Int64(5),
    }
    trigger = {"_id": 1, **COLLECTIONS[Trigger].to_document(ENTITIES[2]), "parameters": parameters}
    (found,) = Reader().read(Trigger, [stored(trigger)])
    assert found.parameters == {
        "match": {"$ref": "users", "$id": 7, "more": [1]},
        "when": "2024-01-02T00:00:00.000000Z",
        "far": 2**53,
        "id": str(identifier),
        "amount": "1.5",
        "bytes": "AQ==",
        "uuid": "00000000-0000-0000-0000-000000000000",
        "pattern": "a",
        "nan": None,
        "long": 5,
    }
    declared = {"_id": 1, **COLLECTIONS[TriggerType].to_document(ENTITIES[1]), "payload_schema": schema}
    (kind,) = Reader().read(TriggerType, [stored(declared)])
    assert kind.payload_schema == schema


def test_pages_are_of_sound_entries_whatever_lies_between_them() -> None:
    entries = [KeyValue(name=f"k{number:02}", value="v") for number in range(20)]
    listed = [{"_id": entry.name, **key_value_document(entry)} for entry in entries]
    for number in (0, 3, 4, 11):
        listed[number]["value"] = 5

    def fetch(skip: int, limit: int | None) -> list[dict[str, Any]]:
        return listed[skip:] if limit is None else listed[skip : skip + limit]

    reader = Reader()
    names: list[str] = []
    while page := reader.page(fetch, NOW, 5, len(names)):
        names += [entry.name for entry in page]
    assert names == [f"k{number:02}" for number in range(20) if number not in (0, 3, 4, 11)]


def test_an_entry_that_has_expired_is_none_though_the_database_has_it() -> None:
    document = {"_id": 1, **key_value_document(KeyValue(name="k", value="v", expire_timestamp=NOW))}
    assert Reader().live(document, NOW) is None
    assert Reader().live(document, NOW - timedelta(seconds=1)) is not None
    assert list(Reader().sound(KEY_VALUES, lambda found: found["name"], [document])) == ["k"]


def test_what_is_known_is_noted_and_read_again_whatever_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    known = Snapshot(
        sensors={"p.S": ENTITIES[0]},
        registrations={"p.S": ENTITIES[4]},
        trigger_types={"p.t": ENTITIES[1]},
        triggers={"p.x": ENTITIES[2]},
    )
    save(known, path)
    assert load(path) == known
    noted = json.loads(path.read_text())
    noted["sensor_type_d_b"].append({"name": 5})
    noted["trigger_d_b"] = 5
    noted["own"] = {"a": 1}
    path.write_text(json.dumps(noted))
    found = load(path)
    assert found is not None
    assert found.sensors == known.sensors
    assert found.triggers == {}
    path.write_text("[" * 100_000)
    assert load(path) is None


def test_what_cannot_be_noted_is_an_error_that_is_expected(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    known = Snapshot(triggers={"p.x": Trigger(pack="p", name="x", type="p.t", parameters=deep)})
    with pytest.raises(ValueError, match="too deeply"):
        save(known, tmp_path / "known.json")


ODD_ROWS = [
    "no JSON",
    "[1]",
    "null",
    "NaN",
    "[" * 5000 + "]" * 5000,
    b"\xff\xfe",
    b"{}",
    7,
    '{"expire_timestamp": 1e300}',
    '{"expire_timestamp": "soon", "batches": 5}',
    '{"batches": [5, {"_id": 1}], "holder": [], "dead": "?"}',
]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[SqliteStorage]:
    """An embedded database with malformed rows in each table."""
    storage = SqliteStorage(tmp_path / "st2.db")
    storage.prepare()
    with closing(sqlite3.connect(tmp_path / "st2.db")) as connection, connection:
        for table in TABLES:
            for number, row in enumerate(ODD_ROWS):
                space = SYSTEM_SCOPE if table == KEY_VALUES else "odd"
                connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (space, f"odd{number}", row))
                text = f"CAST(x'fffe{number:02x}' AS TEXT)"
                connection.execute(f"INSERT INTO {table} VALUES ({text}, {text}, {text})")
    yield storage
    storage.close()


def test_odd_rows_of_the_embedded_database_harm_no_others(embedded: SqliteStorage, tmp_path: Path) -> None:
    for entity in ENTITIES:
        embedded.put(entity)
        assert embedded.all(type(entity)) == [entity]
        assert embedded.get(type(entity), "odd.odd0") is None
    entry = KeyValue(name="sound", value="v")
    embedded.put_value(entry, NOW)
    assert embedded.list_values(SYSTEM_SCOPE, "", NOW) == [entry]
    assert embedded.list_values(SYSTEM_SCOPE, "", NOW, limit=1, offset=1) == []
    for number in range(len(ODD_ROWS)):
        assert embedded.get_value(SYSTEM_SCOPE, f"odd{number}", NOW) is None
        odd = KeyValue(name=f"odd{number}", value="v")
        assert embedded.swap_value(odd, None, NOW) is not None
        assert embedded.get_value(SYSTEM_SCOPE, odd.name, NOW) == odd
    batch = Batch(id="1", sensor="odd4", name="k", expected=None, value="v", events=())
    assert embedded.put_batch(batch) is None
    assert embedded.batches() == [batch]
    embedded.remove_batch(batch)
    assert embedded.batches() == []

    leases = SqliteLeases(Connection(tmp_path / "st2.db"))
    leases.join(Member(id="m", node="n"))
    assert leases.members() == [Member(id="m", node="n")]
    assert [lease.sensor for lease in leases.take([Lease(sensor="p.S")], "m")] == ["p.S"]
    assert leases.drained() == frozenset()
    leases.close()


@pytest.mark.parametrize("value", ["\ud83d", {"a": "x"}])
def test_what_the_embedded_database_cannot_store_is_refused(embedded: SqliteStorage, value: Any) -> None:
    name = value if isinstance(value, str) else "fine"
    deep: Any = value
    for _ in range(100_000 if isinstance(value, dict) else 0):
        deep = {"a": deep}
    with pytest.raises(StorageError, match="cannot store it"):
        embedded.put(TriggerType(pack="p", name=name, payload_schema={"a": deep}))
    embedded.put(ENTITIES[1])


def test_every_override_is_among_the_samples_and_read_as_it_was_stored() -> None:
    (registration,) = [item for item in ENTITIES if isinstance(item, Registration)]
    assert None not in asdict(registration.overrides).values()
    stored = COLLECTIONS[Registration].to_document(registration)
    assert COLLECTIONS[Registration].from_document({"_id": "1", **stored}).overrides == registration.overrides


@pytest.mark.parametrize("kind", COLLECTIONS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("field", ["pack", "name"])
def test_a_document_without_a_part_of_its_reference_is_reported_once(
    kind: type[Any], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    document = {name: "x" for name in ("_id", "pack", "name") if name != field}
    reader = Reader()
    for _ in range(2):
        assert reader.read(kind, [document]) == []
    (record,) = caplog.records
    assert f"collection {COLLECTIONS[kind].name}, document x" in record.getMessage()
    assert f": {field} is " in record.getMessage()
