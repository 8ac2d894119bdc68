"""One suite for every storage backend."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest

from st2sensor.errors import StorageUnavailable
from st2sensor.models import (
    Batch,
    Change,
    KeyValue,
    Overrides,
    Refusal,
    Registration,
    Rule,
    SensorType,
    Trigger,
    TriggerType,
)
from st2sensor.storage.base import Storage
from st2sensor.storage.mongo import MongoStorage
from st2sensor.storage.sqlite import SqliteStorage
from tests.plugins.patience import SOON
from tests.support.servers.mongodb import MongoDB

SENSOR = SensorType(
    pack="p",
    name="S",
    artifact_uri="file:///p/sensors/s.py",
    entry_point="sensors.s.S",
    description="d",
    metadata_file="sensors/s.yaml",
    trigger_types=("p.t",),
    poll_interval=0.5,
)
TRIGGER_TYPE = TriggerType(
    pack="p", name="t.with.dots", payload_schema={"type": "object", "$schema": "x", "properties": {"a.b": {}}}
)
TRIGGER = Trigger(pack="p", name="a-uuid", type="p.t", parameters={"path": "/x", "n": 1})
ENTITIES = [
    SENSOR,
    TRIGGER_TYPE,
    TRIGGER,
    Rule(pack="p", name="r", metadata_file="rules/r.yaml", trigger_type="p.t", parameters={"n": 1}, trigger="p.a-uuid"),
    Refusal(pack="p", name="t", metadata_file="sensors/s.yaml", error="s.yaml:1: payload_schema is wrong"),
    Registration(
        pack="p",
        name="S",
        metadata_file="sensors/s.yaml",
        digest="abc",
        error=None,
        overrides=Overrides(nice=1, runs_on=("gpu", "dmz")),
    ),
]

Open = Callable[[], Storage]


@pytest.fixture(params=["mongo", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Which backend, and where its database is."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "st2.db"), ""
        return
    server: MongoDB = request.getfixturevalue("mongo_server")
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield "mongo", server.url, name
    with pymongo.MongoClient[dict[str, Any]](server.url) as client:
        client.drop_database(name)


@pytest.fixture
def open_storage(place: tuple[str, str, str]) -> Iterator[Open]:
    """Opens one database, as often as asked."""
    opened: list[Storage] = []

    def make() -> Storage:
        kind, address, name = place
        storage: Storage = (
            SqliteStorage(Path(address)) if kind == "sqlite" else MongoStorage(address, database=name, timeout=SOON)
        )
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(open_storage: Open) -> Storage:
    opened = open_storage()
    opened.prepare()
    return opened


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
def test_what_is_put_is_got_by_another(storage: Storage, open_storage: Open, entity: Any) -> None:
    storage.put(entity)
    other = open_storage()
    found = other.get(type(entity), entity.ref)
    assert found == entity
    assert found is not None
    assert found.id
    assert other.all(type(entity)) == [entity]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
def test_what_is_inserted_is_inserted_once(storage: Storage, open_storage: Open, entity: Any) -> None:
    assert storage.insert(entity)
    assert not open_storage().insert(entity)
    assert storage.all(type(entity)) == [entity]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
def test_what_is_removed_is_gone(storage: Storage, entity: Any) -> None:
    storage.put(entity)
    assert storage.remove(type(entity), entity.ref)
    assert not storage.remove(type(entity), entity.ref)
    assert storage.get(type(entity), entity.ref) is None
    assert storage.all(type(entity)) == []


def test_a_change_keeps_the_id_and_takes_unset_fields_away(storage: Storage) -> None:
    storage.put(SENSOR)
    before = storage.get(SensorType, "p.S")
    bare = SensorType(pack="p", name="S", artifact_uri="file:///q", entry_point="sensors.s.S")
    storage.put(bare)
    after = storage.get(SensorType, "p.S")
    assert before is not None
    assert after == bare
    assert after.id == before.id
    assert after.poll_interval is None


def test_many_are_put_in_one_step_as_they_would_be_one_by_one(storage: Storage) -> None:
    storage.put(replace(SENSOR, name="S1", description="old"))
    storage.put(TRIGGER)
    storage.count_reference(TRIGGER.ref, 2)
    sensors = [replace(SENSOR, name=f"S{number}", description=None) for number in range(3)]
    storage.put_all([*sensors, replace(TRIGGER, ref_count=7)])
    assert storage.all(SensorType) == sensors
    kept = storage.get(Trigger, TRIGGER.ref)
    assert kept is not None
    assert kept.ref_count == 2
    storage.put_all([])


def test_everything_comes_in_the_order_of_references(storage: Storage) -> None:
    for pack, name in [("b", "x"), ("a", "z"), ("a", "y")]:
        storage.put(TriggerType(pack=pack, name=name))
    assert [item.ref for item in storage.all(TriggerType)] == ["a.y", "a.z", "b.x"]


def test_references_are_counted_in_one_step_and_the_last_deletes_the_trigger(
    storage: Storage, open_storage: Open
) -> None:
    storage.put(TRIGGER)

    def count() -> None:
        mine = open_storage()
        for _ in range(25):
            mine.count_reference(TRIGGER.ref, 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = storage.get(Trigger, TRIGGER.ref)
    assert found is not None
    assert found.ref_count == 100
    storage.put(TRIGGER)
    found = storage.get(Trigger, TRIGGER.ref)
    assert found is not None
    assert found.ref_count == 100
    storage.count_reference(TRIGGER.ref, -100)
    assert storage.get(Trigger, TRIGGER.ref) is None
    storage.count_reference(TRIGGER.ref, 1)
    assert storage.get(Trigger, TRIGGER.ref) is None


def test_a_trigger_without_parameters_outlives_its_references(storage: Storage) -> None:
    plain = Trigger(pack="p", name="t", type="p.t")
    storage.put(plain)
    storage.count_reference(plain.ref, -1)
    assert storage.get(Trigger, plain.ref) is not None


def test_a_trigger_with_new_parameters_keeps_id_name_and_count(storage: Storage) -> None:
    storage.put(TRIGGER)
    storage.count_reference(TRIGGER.ref, 1)
    before = storage.get(Trigger, TRIGGER.ref)
    assert before is not None
    changed = Trigger(pack="p", name=TRIGGER.name, type="p.t", parameters={"path": "/y"})
    storage.rename_trigger(before.uid, changed)
    (after,) = storage.all(Trigger)
    assert (after.id, after.ref_count, after.parameters) == (before.id, 1, {"path": "/y"})
    assert after.uid == changed.uid != before.uid


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_values_are_kept_by_scope_and_name(storage: Storage) -> None:
    first = storage.put_value(KeyValue(name="a", value="1"), NOW)
    storage.put_value(KeyValue(name="a", value="other", scope="st2kv.user"), NOW)
    second = storage.put_value(KeyValue(name="a", value="2"), NOW)
    assert first.old is None
    assert first.new is not None
    assert second.old == first.new
    assert second.new == storage.get_value("st2kv.system", "a", NOW) == KeyValue(name="a", value="2")
    assert second.new is not None
    assert second.new.id == first.new.id
    assert storage.remove_value("st2kv.system", "a", NOW) == second.new
    assert storage.remove_value("st2kv.system", "a", NOW) is None
    assert storage.get_value("st2kv.system", "a", NOW) is None
    assert storage.get_value("st2kv.user", "a", NOW) is not None


def test_what_has_expired_is_not_there(storage: Storage) -> None:
    def put() -> Change:
        return storage.put_value(KeyValue(name="a", value="1", expire_timestamp=NOW + SECOND), NOW)

    put()
    just_before = NOW + SECOND - timedelta(milliseconds=1)
    found = storage.get_value("st2kv.system", "a", just_before)
    assert found is not None
    assert found.expire_timestamp == NOW + SECOND
    assert storage.list_values("st2kv.system", "", just_before) == [found]
    assert storage.get_value("st2kv.system", "a", NOW + SECOND) is None
    assert storage.list_values("st2kv.system", "", NOW + SECOND) == []
    assert storage.swap_value(KeyValue(name="a", value="2"), "1", NOW + SECOND) is None
    assert storage.remove_value("st2kv.system", "a", NOW + SECOND) is None
    put()
    change = storage.swap_value(KeyValue(name="a", value="2"), None, NOW + SECOND)
    assert change is not None
    assert change.old is None
    put()
    assert storage.put_value(KeyValue(name="a", value="3"), NOW + SECOND).old is None
    found = storage.get_value("st2kv.system", "a", NOW + 9 * SECOND)
    assert found is not None
    assert found.expire_timestamp is None


def test_the_embedded_storage_sweeps(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "st2.db")
    storage.prepare()
    storage.put_value(KeyValue(name="old", value="1", expire_timestamp=NOW + SECOND), NOW)
    storage.put_value(KeyValue(name="new", value="1"), NOW + 120 * SECOND)
    with closing(sqlite3.connect(tmp_path / "st2.db")) as connection:
        assert connection.execute("SELECT name FROM key_value_pair_d_b").fetchall() == [("new",)]
    storage.close()


@pytest.mark.parametrize("expected", [None, "1", "2"])
def test_a_value_is_swapped_for_the_expected_one_only(storage: Storage, expected: str | None) -> None:
    storage.put_value(KeyValue(name="a", value="1"), NOW)
    change = storage.swap_value(KeyValue(name="a", value="3"), expected, NOW)
    assert (change is not None) == (expected == "1")
    found = storage.get_value("st2kv.system", "a", NOW)
    assert found is not None
    assert found.value == ("3" if expected == "1" else "1")
    secret = storage.put_value(KeyValue(name="s", value="1", secret=True), NOW)
    assert storage.swap_value(KeyValue(name="s", value="2"), "1", NOW) is None
    assert storage.get_value("st2kv.system", "s", NOW) == secret.new


@pytest.mark.parametrize("prefix", ["", "a", "a.", "a%", "a_", "a*", "ż", "a.b", "a\0", "\U0010ffff", "\ud7ff"])
def test_a_prefix_is_taken_literally(storage: Storage, prefix: str) -> None:
    names = ["a", "a.b", "a.c", "a%x", "a_x", "a*x", "ab", "A", "żółw", "b", "a\0b", "\U0010ffff", "\U0010ffffx"]
    names += ["\ud7ffx", "\ue000"]
    for name in names:
        storage.put_value(KeyValue(name=name, value="☃"), NOW)
    found = [item.name for item in storage.list_values("st2kv.system", prefix, NOW)]
    assert found == sorted(name for name in names if name.startswith(prefix))
    assert [item.name for item in storage.list_values("st2kv.system", prefix, NOW, limit=2, offset=1)] == found[1:3]
    assert storage.list_values("st2kv.system", prefix, NOW, limit=0) == []


def test_one_batch_of_a_name_at_a_time(storage: Storage, open_storage: Open) -> None:
    def batch(identifier: str, sensor: str, name: str) -> Batch:
        return Batch(id=identifier, sensor=sensor, name=name, expected=None, value="1", events=({"n": 1, "x": None},))

    first = batch("1", "p.S", "p.S:cursor")
    assert storage.put_batch(first) is None
    assert storage.put_batch(first) is None
    assert open_storage().put_batch(batch("2", "p.S", "p.S:cursor")) == first
    other = batch("3", "p.T", "p.T:cursor")
    assert storage.put_batch(other) is None
    assert open_storage().batches("p.S") == [first]
    assert len(storage.batches()) == 2
    storage.remove_batch(batch("2", "p.S", "p.S:cursor"))
    storage.remove_batch(other)
    storage.remove_batch(other)
    assert storage.batches() == [first]


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    storage = MongoStorage("mongodb://me:hush@127.0.0.1:1", database="x", timeout=0.2)
    with pytest.raises(StorageUnavailable, match=r"cannot reach MongoDB at mongodb://127.0.0.1") as caught:
        storage.all(SensorType)
    assert "hush" not in str(caught.value)
    storage.close()


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match=r"the embedded database .* cannot be used"):
        SqliteStorage(tmp_path / "file" / "st2.db")
