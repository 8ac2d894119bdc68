"""Odd documents in a database that others write to, too: each harms only itself."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from tests.support.servers.mongodb import MongoDB
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

POLLS = """
class {0}(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch("p.seen", {{"host": "a"}})

    def add_trigger(self, trigger):
        print("heard", trigger["ref"], trigger["parameters"], flush=True)
"""

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/seen",
    "$ref": "#/definitions/Seen",
    "definitions": {"Seen": {"type": "object", "properties": {"host": {"type": "string"}}}},
}
SEEN = [{"name": "seen", "payload_schema": SCHEMA}]

FOREIGN = {
    "oid": ObjectId(),
    "ref": DBRef("users", 7),
    "decimal": Decimal128("NaN"),
    "binary": Binary(b"\x01", 128),
    "regex": Regex("a", 2),
    "least": MinKey(),
    "most": MaxKey(),
    "code": Code("f()", {"a": 1}),
    "timestamp": Timestamp(1, 1),
    "far": DatetimeMS(2**62),
    "nan": float("nan"),
    "int": 7,
    "list": [1, [2]],
    "object": {"$ref": "users", "$id": 7},
    "text": "odd",
}

Docs = Database[dict[str, Any]]


@pytest.fixture
def with_database(folder: Path, mongo_server: MongoDB) -> Iterator[Workspace]:
    """A workspace on MongoDB, with a bus of its own."""
    found = Workspace(folder, database=mongo_server.url, messaging="local://")
    yield found
    found.close()


@pytest.fixture
def database(with_database: Workspace) -> Iterator[Docs]:
    with pymongo.MongoClient[dict[str, Any]](with_database.database) as client:
        yield client[with_database.name]


def odd_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """A collection and a document each. Their references are their own: no two are the same."""
    base: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "sensor_type_d_b": (
            {"artifact_uri": "file:///x.py", "entry_point": "sensors.x.X", "trigger_types": [], "enabled": True},
            ("artifact_uri", "entry_point", "trigger_types", "enabled", "poll_interval", "description"),
        ),
        "trigger_type_d_b": ({}, ("payload_schema", "parameters_schema", "tags", "metadata_file", "description")),
        "trigger_d_b": ({"type": "p.seen", "parameters": {}}, ("type", "parameters", "ref_count")),
        "st2sensor_registrations": ({"metadata_file": "x"}, ("metadata_file", "digest", "error", "overrides")),
        "st2sensor_refusals": ({"metadata_file": "x", "error": "x"}, ("metadata_file", "error")),
        "st2sensor_rules": (
            {"metadata_file": "x", "trigger_type": "p.seen", "parameters": {}, "trigger": "p.seen"},
            ("trigger_type", "parameters", "trigger"),
        ),
        "key_value_pair_d_b": (
            {"scope": "st2kv.system", "value": "v", "secret": False},
            ("value", "secret", "expire_timestamp"),
        ),
        "st2sensor_leases": ({}, ("holder", "fence", "batches", "stored")),
    }
    number = 0
    for collection, (document, fields) in base.items():
        for field in fields:
            for value in FOREIGN.values():
                number += 1
                name = f"Odd{number}"
                identity = {"pack": "odd", "name": name, "ref": f"odd.{name}", "uid": f"odd:{name}"}
                yield collection, {**identity, **document, field: value}


def broken_documents(collection: str, document: dict[str, Any], field: str) -> Iterator[Any]:
    """Documents with bytes that are no UTF-8, and with a date that Python does not have."""
    name = f"B{uuid.uuid4().hex[:6]}"
    named = {**document, "_id": ObjectId(), "name": name, "uid": f"{collection}:{name}", field: "XXXX"}
    yield RawBSONDocument(bson.encode(named).replace(b"XXXX", b"\xff\xfe\xfd\xfc"))
    far = bson.encode({**named, "_id": ObjectId(), "uid": f"{name}2", "name": f"{name}2", field: Int64(2**60)})
    place = far.index(field.encode() + b"\0") - 1
    yield RawBSONDocument(far[:place] + b"\x09" + far[place + 1 :])


@pytest.mark.soak
def test_hundreds_of_odd_documents_harm_nobody_else(with_database: Workspace, database: Docs) -> None:
    with_database.add_sensor("p", "Healthy", POLLS.format("Healthy"), poll_interval=0.2, trigger_types=SEEN)
    with_database.reload_well()
    command = ("st2sensor", "--config-file", str(with_database.config))
    assert with_database.run(*command, "key", "set", "sound", "v").returncode == 0
    for collection, document in odd_documents():
        database[collection].insert_one(document)
    entry = {"scope": "st2kv.system", "secret": False}
    database["key_value_pair_d_b"].insert_many(broken_documents("key_value_pair_d_b", entry, "value"))
    sensor = {"pack": "odd", "entry_point": "s.X", "trigger_types": [], "enabled": True}
    database["sensor_type_d_b"].insert_many(broken_documents("sensor_type_d_b", sensor, "artifact_uri"))
    foreign = {"match": {**FOREIGN, "when": datetime(2024, 1, 2, tzinfo=UTC)}}
    trigger = {"pack": "p", "name": "foreign", "ref": "p.foreign", "uid": "f", "type": "p.seen", "parameters": foreign}
    database["trigger_d_b"].insert_one(trigger)

    listener = with_database.listen()
    with_database.configure("resync_interval = 0.5")
    container = with_database.start()
    listener.wait_for("p.seen")
    container.wait_for_log("heard p.foreign")
    assert "'when': '2024-01-02T00:00:00.000000Z'" in container.log
    assert "'ref': {'$ref': 'users', '$id': 7}" in container.log
    container.wait_for_log("collection sensor_type_d_b, document ")
    # What comes later is learned, too.
    with_database.add_sensor("late", "Late", POLLS.format("Late").replace("p.seen", "late.seen"), trigger_types=SEEN)
    done = with_database.reload()
    assert done.returncode == 0, done.stdout + done.stderr
    listener.wait_for("late.seen")
    odd = database["sensor_type_d_b"].find_one({"trigger_types": 7})
    assert odd is not None
    assert container.log.count(f"document {odd['_id']} (odd.{odd['name']}): trigger_types is a number") == 1
    assert "Traceback" not in container.log

    listed = with_database.run(*command, "key", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert '"sound"' in listed.stdout
    assert with_database.run(*command, "list").returncode == 0
    assert with_database.run(*command, "triggers").returncode == 0
    assert container.stop() == 0


def trigger_types(database: Docs) -> None:
    for _ in range(2):
        database["trigger_type_d_b"].insert_one({"pack": "x", "name": "t", "ref": "x.t", "uid": "trigger_type:x:t"})


def key_values(database: Docs) -> None:
    for _ in range(2):
        entry = {"scope": "st2kv.system", "name": "a", "value": "v", "uid": "key_value_pair:st2kv.system:a"}
        database["key_value_pair_d_b"].insert_one(entry)


def other_index(database: Docs) -> None:
    database["trigger_type_d_b"].create_index([("pack", 1), ("name", 1)], name="mine")
    database["key_value_pair_d_b"].create_index("expire_timestamp", expireAfterSeconds=77)


def view(database: Docs) -> None:
    database.command("create", "st2sensor_rules", viewOn="other", pipeline=[])


@pytest.mark.parametrize("seed", [trigger_types, key_values, other_index, view], ids=lambda seed: seed.__name__)
def test_without_an_index_all_is_read_and_only_what_needs_it_is_refused(
    with_database: Workspace, database: Docs, seed: Callable[[Docs], None]
) -> None:
    seed(database)
    with_database.add_sensor("p", "Healthy", POLLS.format("Healthy"), poll_interval=0.2, trigger_types=SEEN)
    with_database.add_rule("p", "r", "p.seen")
    done = with_database.reload()
    assert "indexes cannot be created: " in done.stderr
    assert done.returncode == (1 if seed is view else 0), done.stdout + done.stderr
    if seed is view:
        assert "rules/r.yaml: its content cannot be stored: " in done.stderr
    listener = with_database.listen()
    container = with_database.start()
    listener.wait_for("p.seen")
    command = ("st2sensor", "--config-file", str(with_database.config), "key")
    assert with_database.run(*command, "set", "b", "v").returncode == 0
    assert with_database.run(*command, "set", "b", "w").returncode == 0
    assert database["key_value_pair_d_b"].count_documents({"name": "b", "value": "w"}) == 1
    if seed is key_values:
        refused = with_database.run(*command, "set", "a", "v")
        assert refused.returncode == 69
        assert "has st2kv.system.a twice" in refused.stderr
    assert "Traceback" not in container.log
    assert container.stop() == 0


def test_an_odd_key_is_none_until_it_is_set_again(with_database: Workspace, database: Docs) -> None:
    odd = {"scope": "st2kv.system", "name": "k", "uid": "key_value_pair:st2kv.system:k", "value": 5}
    database["key_value_pair_d_b"].insert_one(odd)
    command = ("st2sensor", "--config-file", str(with_database.config), "key")
    missing = with_database.run(*command, "get", "k")
    assert missing.returncode == 66
    assert "(k): value is a number, but must be text; it is skipped" in missing.stderr
    assert with_database.run(*command, "set", "k", "v").returncode == 0
    assert '"value": "v"' in with_database.run(*command, "get", "k", "--json").stdout


def test_a_key_without_a_name_or_scope_is_reported_when_keys_are_listed(
    with_database: Workspace, database: Docs
) -> None:
    command = ("st2sensor", "--config-file", str(with_database.config), "key")
    assert with_database.run(*command, "set", "sound", "v").returncode == 0
    # Text, and values that are equal to others in the unique index.
    left_out = ("text", "nan", "ref", "int")
    sound = {"scope": "st2kv.system", "name": "odd", "value": "v", "secret": False}
    odd = [
        {**sound, field: value}
        for field in ("scope", "name")
        for kind, value in FOREIGN.items()
        if kind not in left_out
    ]
    odd += [{part: value for part, value in sound.items() if part != field} for field in ("scope", "name")]
    expected = {}
    for number, document in enumerate(odd):
        inserted = database["key_value_pair_d_b"].insert_one({**document, "uid": str(number)}).inserted_id
        expected[inserted] = "name" if document.get("scope") == "st2kv.system" else "scope"
    listed = with_database.run(*command, "list", "--json")
    assert [entry["name"] for entry in json.loads(listed.stdout)] == ["sound"]
    for identifier, field in expected.items():
        (line,) = (line for line in listed.stderr.splitlines() if f"document {identifier}" in line)
        assert re.search(rf"collection key_value_pair_d_b, document {identifier}( \(odd\))?: {field} is ", line)


def test_a_file_for_tls_that_is_missing_is_named_with_its_key(folder: Path) -> None:
    workspace = Workspace(folder, database="mongodb://127.0.0.1:1", messaging="local://")
    missing = folder / "nosuch.pem"
    for key in ("tls_ca_file", "tls_certificate_key_file"):
        text = workspace.configuration("").replace("[messaging]", f"tls = true\n{key} = {missing}\n[messaging]")
        workspace.config.write_text(text)
        for command in (("st2sensor", "key", "list"), ("st2sensorcontainer",)):
            done = workspace.run(command[0], "--config-file", str(workspace.config), *command[1:])
            assert done.returncode == 78, done.stderr
            assert f"[database] {key}" in done.stderr
            assert f"{missing} cannot be used: No such file or directory" in done.stderr


def test_the_embedded_database_is_never_the_worlds(embedded: Workspace) -> None:
    for command in (
        ("st2sensor", "key", "set", "a", "b"),
        ("st2ctl", "reload"),
        ("st2sensor", "dispatch", "core.st2.webhook", "{}"),
    ):
        embedded.run(command[0], "--config-file", str(embedded.config), *command[1:])
        files = list(embedded.state.glob("st2.db*"))
        assert files
        assert [file.stat().st_mode & 0o077 for file in files] == [0] * len(files)
        for file in files:
            file.unlink()
    eventually("nothing is left", lambda: not list(embedded.state.glob("st2.db*")))
