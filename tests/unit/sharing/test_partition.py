"""The sensors that belong to a node."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from st2sensor.errors import ConfigError
from st2sensor.models import KeyValue
from st2sensor.sharing.partition import hash_of, provider_of
from st2sensor.storage.sqlite import SqliteStorage
from tests.support.workspace import ROOT

SAMPLES = json.loads((ROOT / "tests" / "samples" / "partition_hashes.json").read_text())


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    opened = SqliteStorage(tmp_path / "st2.db")
    opened.prepare()
    return opened


@pytest.mark.parametrize("ref", SAMPLES["hashes"])
def test_hashes_are_stackstorms(ref: str) -> None:
    assert hash_of(ref) == SAMPLES["hashes"][ref] < SAMPLES["range_max"]


@pytest.mark.parametrize(
    ("ranges", "owned"),
    [
        ("0..MAX", True),
        ("min..max", True),
        ("1764003419..1764003420", True),
        ("1764003418..1764003419", False),
        ("1764003420..MAX", False),
        ("0..5 | 1764003419 .. MAX", True),
        ("5..5", False),
    ],
)
def test_a_range_holds_its_start_and_not_its_end(storage: SqliteStorage, ranges: str, owned: bool) -> None:
    owns = provider_of({"name": "hash", "hash_ranges": ranges}, "n")(storage)
    assert owns("a.B") is owned


def test_ranges_that_meet_give_each_sensor_to_one_node(storage: SqliteStorage) -> None:
    nodes = [
        provider_of({"name": "hash", "hash_ranges": ranges}, "n")(storage)
        for ranges in ("MIN..1000000000", "1000000000..3000000000", "3000000000..MAX")
    ]
    for number in range(1000):
        assert sum(owns(f"p.S{number}") for owns in nodes) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "shard"}, "this provider does not exist; use one of default, shared, kvstore, file, hash"),
        ({"name": "hash"}, "hash_ranges is missing; add it, for example hash_ranges:"),
        ({"name": "hash", "hash_ranges": "5"}, "'5' is not a range"),
        ({"name": "hash", "hash_ranges": "a..b"}, "'a..b' is not a range"),
        ({"name": "hash", "hash_ranges": "0..9|MAX..9"}, "'MAX..9' ends before it starts"),
        ({"name": "file"}, "partition_file is missing"),
    ],
)
def test_a_provider_that_is_wrong_says_what_to_do(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=r"\[sensorcontainer\] partition_provider") as caught:
        provider_of(options, "n")
    assert reason in str(caught.value)


def test_a_file_lists_the_sensors_of_each_node(storage: SqliteStorage, tmp_path: Path) -> None:
    path = tmp_path / "partitions.yaml"
    look = provider_of({"name": "file", "partition_file": str(path)}, "two")
    with pytest.raises(ConfigError, match=r"partitions\.yaml"):
        look(storage)
    path.write_text("one: [p.A]\n")
    with pytest.raises(ConfigError, match=r"does not list the sensors of two; add two:"):
        look(storage)
    path.write_text("one: [p.A]\ntwo: [p.B, p.C]\n")
    owns = look(storage)
    assert [owns(ref) for ref in ("p.A", "p.B", "p.C")] == [False, True, True]


def test_a_key_lists_the_sensors_of_each_node(storage: SqliteStorage) -> None:
    look = provider_of({"name": "kvstore"}, "one")
    with pytest.raises(ConfigError, match=r"run: st2sensor key set one\.sensor_partition"):
        look(storage)
    storage.put_value(KeyValue(name="one.sensor_partition", value="p.A, p.B"), datetime.now(UTC))
    owns = look(storage)
    assert [owns(ref) for ref in ("p.A", "p.B", "p.C")] == [True, True, False]


def test_by_default_all_are_everybodys(storage: SqliteStorage) -> None:
    assert provider_of({"name": "default"}, "n")(storage)("p.A")
    assert provider_of({}, "n")(storage)("p.A")


def test_a_list_that_names_a_class_has_all_of_its_instances(storage: SqliteStorage) -> None:
    storage.put_value(KeyValue(name="n.sensor_partition", value="p.A, p.B@x"), datetime.now(UTC))
    owns = provider_of({"name": "kvstore"}, "n")(storage)
    assert [owns(ref) for ref in ("p.A", "p.A@x", "p.B@x", "p.B@y", "p.B")] == [True, True, True, False, False]
