"""The datastore as sensors see it, on every storage backend."""

from __future__ import annotations

import pytest

from st2sensor.datastore import Datastore
from st2sensor.errors import DatastoreUnavailable, UnsupportedOption
from st2sensor.models import SYSTEM_SCOPE
from st2sensor.storage.base import Storage
from st2sensor.storage.mongo import MongoStorage
from tests.backends.test_storage import open_storage, storage
from tests.servers.ports import free_port

__all__ = ["open_storage", "storage"]


@pytest.fixture
def datastore(storage: Storage) -> Datastore:
    return Datastore(storage=storage)


def put(datastore: Datastore, sensor: str, name: str, value: str, *, local: bool = True) -> None:
    datastore.set(sensor, name, value, local=local, scope=SYSTEM_SCOPE, ttl=None, encrypt=False)


def get(datastore: Datastore, sensor: str, name: str, *, local: bool = True) -> str | None:
    found = datastore.get(sensor, name, local=local, scope=SYSTEM_SCOPE, decrypt=False)
    return None if found is None else found.value


def test_local_names_are_a_sensors_own_and_global_ones_are_shared(datastore: Datastore) -> None:
    put(datastore, "p.A", "key", "a")
    put(datastore, "p.B", "key", "b")
    put(datastore, "p.A", "key", "everybody's", local=False)
    assert get(datastore, "p.A", "key") == "a"
    assert get(datastore, "p.B", "key") == "b"
    assert get(datastore, "p.B", "key", local=False) == "everybody's"
    assert get(datastore, "p.C", "key") is None


def test_names_are_stored_as_stackstorm_stores_them(datastore: Datastore, storage: Storage) -> None:
    put(datastore, "p.A", "key", "a")
    put(datastore, "p.A", "key", "g", local=False)
    assert [item.name for item in storage.list_values(SYSTEM_SCOPE, "")] == ["key", "p.A:key"]


def test_a_list_is_of_ones_own_or_of_all_by_prefix(datastore: Datastore) -> None:
    for name in ("x.1", "x.2", "y"):
        put(datastore, "p.A", name, "local")
        put(datastore, "p.A", name, "global", local=False)
    assert [item.name for item in datastore.list("p.A", local=True, prefix="x.")] == ["p.A:x.1", "p.A:x.2"]
    assert len(datastore.list("p.A", local=True, prefix=None)) == 3
    assert [item.name for item in datastore.list("p.A", local=False, prefix="x.")] == ["x.1", "x.2"]


def test_delete_tells_whether_there_was_something(datastore: Datastore) -> None:
    put(datastore, "p.A", "key", "a")
    assert datastore.delete("p.A", "key", local=True, scope=SYSTEM_SCOPE)
    assert not datastore.delete("p.A", "key", local=True, scope=SYSTEM_SCOPE)


def test_options_that_are_not_there_yet_raise(datastore: Datastore) -> None:
    with pytest.raises(UnsupportedOption, match="ttl"):
        datastore.set("p.A", "k", "v", local=True, scope=SYSTEM_SCOPE, ttl=5, encrypt=False)
    with pytest.raises(UnsupportedOption, match="encrypt"):
        datastore.set("p.A", "k", "v", local=True, scope=SYSTEM_SCOPE, ttl=None, encrypt=True)
    with pytest.raises(UnsupportedOption, match="decrypt"):
        datastore.get("p.A", "k", local=True, scope=SYSTEM_SCOPE, decrypt=True)
    assert get(datastore, "p.A", "k") is None


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_name_that_is_none_is_refused(datastore: Datastore, name: str) -> None:
    with pytest.raises(ValueError, match="non-empty string"):
        get(datastore, "p.A", name)


def test_another_scope_is_refused(datastore: Datastore) -> None:
    with pytest.raises(ValueError, match=r"scope 'st2kv\.user'"):
        datastore.get("p.A", "k", local=True, scope="st2kv.user", decrypt=False)


def test_missing_and_unavailable_are_not_the_same() -> None:
    away = MongoStorage(f"mongodb://127.0.0.1:{free_port()}", database="x", timeout=0.2)
    with pytest.raises(DatastoreUnavailable):
        get(Datastore(storage=away), "p.A", "k")
    away.close()
