"""One suite for every storage backend."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from st2sensor.errors import StorageUnavailable
from st2sensor.models import KeyValue, Registration, Rule, SensorType, Trigger, TriggerType
from st2sensor.storage.base import Storage
from st2sensor.storage.mongo import MongoStorage
from st2sensor.storage.sqlite import SqliteStorage
from tests.servers.mongodb import MongoDB
from tests.servers.ports import free_port

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
    Registration(pack="p", name="S", metadata_file="sensors/s.yaml", digest="abc", error=None),
]

Open = Callable[[], Storage]


@pytest.fixture(params=["mongo", "sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one database, as often as asked."""
    opened: list[Storage] = []
    name = f"test_{uuid.uuid4().hex[:12]}"
    server: MongoDB | None = request.getfixturevalue("mongo_server") if request.param == "mongo" else None

    def make() -> Storage:
        storage: Storage = (
            SqliteStorage(tmp_path / "st2.db") if server is None else MongoStorage(server.url, database=name, timeout=5)
        )
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        storage.close()
    if server is not None:
        with pymongo.MongoClient[dict[str, Any]](server.url) as client:
            client.drop_database(name)


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


def test_values_are_kept_by_scope_and_name(storage: Storage) -> None:
    storage.put_value(KeyValue(name="a", value="1"))
    storage.put_value(KeyValue(name="a", value="other", scope="st2kv.user"))
    storage.put_value(KeyValue(name="a", value="2"))
    found = storage.get_value("st2kv.system", "a")
    assert found is not None
    assert found.value == "2"
    assert storage.remove_value("st2kv.system", "a")
    assert not storage.remove_value("st2kv.system", "a")
    assert storage.get_value("st2kv.system", "a") is None
    assert storage.get_value("st2kv.user", "a") is not None


@pytest.mark.parametrize("prefix", ["", "a", "a.", "a%", "a_", "a*", "ż", "a.b"])
def test_a_prefix_is_taken_literally(storage: Storage, prefix: str) -> None:
    names = ["a", "a.b", "a.c", "a%x", "a_x", "a*x", "ab", "A", "żółw", "b"]
    for name in names:
        storage.put_value(KeyValue(name=name, value="☃"))
    found = storage.list_values("st2kv.system", prefix)
    assert {item.name for item in found} == {name for name in names if name.startswith(prefix)}
    assert [item.name for item in found] == sorted(item.name for item in found)


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    storage = MongoStorage(f"mongodb://me:hush@127.0.0.1:{free_port()}", database="x", timeout=0.2)
    with pytest.raises(StorageUnavailable, match=r"cannot reach MongoDB at mongodb://127.0.0.1") as caught:
        storage.all(SensorType)
    assert "hush" not in str(caught.value)
    storage.close()


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="cannot open the embedded database"):
        SqliteStorage(tmp_path / "file" / "st2.db")
