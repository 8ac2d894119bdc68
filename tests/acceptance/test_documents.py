"""What StackStorm would find in its database and on its exchange, against samples of what it writes itself."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest
import yaml

from st2sensor.delivery.messages import SENSOR
from st2sensor.transport.base import CREATED
from tests.plugins import shared_servers
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, complete, sample

PACK_FOLDER = "/opt/stackstorm/packs"


QUEUE = "st2.trigger_instances_dispatch.rules_engine"


@pytest.fixture
def rules_engine(rabbit_server: RabbitMQ) -> Iterator[RabbitMQ]:
    """The broker, on which no other test takes from the queue of StackStorm's rules engine, and nothing waits there."""
    with (Path(os.environ[shared_servers.VARIABLE]) / "rules_engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
            connection.channel().queue_delete(QUEUE)
        yield rabbit_server


@pytest.fixture
def stackstorm(folder: Path, mongo_server: MongoDB, rules_engine: RabbitMQ) -> Iterator[Workspace]:
    """A workspace with StackStorm's own names and serializer."""
    found = Workspace(folder, database=mongo_server.url, messaging=rules_engine.url, serializer="pickle", prefix="st2")
    yield found
    found.close()


OURS = frozenset({"core.st2.sensor.silent", "core.st2.sensor.heard"})
"""Trigger types of the pack core that StackStorm does not have."""


def without_id(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in document.items() if key != "_id"} for document in documents]


def write_samples_as_packs(workspace: Workspace) -> None:
    """Packs whose registration must give the sample documents."""
    types = {item["ref"]: item for item in sample("documents/trigger_type_d_b.json")}
    for sensor in sample("documents/sensor_type_d_b.json"):
        module, class_name = sensor["entry_point"].split(".")[1:]
        pack = workspace.add_pack(sensor["pack"])
        declared = [
            {
                key: types[ref][key]
                for key in ("name", "description", "payload_schema", "parameters_schema")
                if key in types[ref]
            }
            for ref in sensor["trigger_types"]
        ]
        metadata = {
            "class_name": class_name,
            "entry_point": f"{module}.py",
            "description": sensor["description"],
            "trigger_types": declared,
        }
        if "poll_interval" in sensor:
            metadata["poll_interval"] = sensor["poll_interval"]
        (pack / sensor["metadata_file"]).write_text(yaml.safe_dump(metadata))
        (pack / "sensors" / f"{module}.py").write_text(complete(f"class {class_name}(Sensor):\n    pass"))
    alone = types["examples.sample_trigger"]
    declared_alone = {key: alone[key] for key in ("name", "description", "payload_schema")}
    (workspace.packs / "examples" / alone["metadata_file"]).write_text(json.dumps(declared_alone))
    workspace.add_rule("rules", "watch", "linux.file_watch.line", file_path="/var/log/app.log")
    workspace.add_rule("rules", "interval", "core.st2.IntervalTimer", unit="seconds", delta=5)
    workspace.add_rule("rules", "webhook", "core.st2.webhook", url="sample")


def test_the_documents_in_mongodb_equal_stackstorms_field_for_field(stackstorm: Workspace) -> None:
    write_samples_as_packs(stackstorm)
    stackstorm.reload_well()

    for document in stackstorm.documents("sensor_type_d_b"):
        document["artifact_uri"] = document["artifact_uri"].replace(str(stackstorm.packs), PACK_FOLDER)
        assert document in without_id(sample("documents/sensor_type_d_b.json"))
    assert len(stackstorm.documents("sensor_type_d_b")) == len(sample("documents/sensor_type_d_b.json"))

    by_ref = {item["ref"]: item for item in stackstorm.documents("trigger_type_d_b") if item["ref"] not in OURS}
    expected = {item["ref"]: item for item in without_id(sample("documents/trigger_type_d_b.json"))}
    assert by_ref == expected

    def anonymous(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A trigger with parameters is named by a uuid."""
        named = []
        for document in documents:
            item = dict(document)
            if item.get("parameters"):
                assert item["uid"].split(":")[:3] == ["trigger", item["pack"], item["name"]]
                assert item["ref"] == f"{item['pack']}.{item['name']}"
                item |= {"name": "*", "ref": "*", "uid": item["uid"].split(":")[-1]}
            named.append(item)
        return sorted(named, key=lambda item: (item["type"], item["uid"]))

    written = [item for item in stackstorm.documents("trigger_d_b") if item["type"] not in OURS]
    assert anonymous(written) == anonymous(without_id(sample("documents/trigger_d_b.json")))


def test_the_bundled_linux_sensor_registers_as_stackstorms(stackstorm: Workspace) -> None:
    stackstorm.link_pack("linux")
    stackstorm.reload_well()
    (document,) = stackstorm.documents("sensor_type_d_b")
    (expected,) = [item for item in without_id(sample("documents/sensor_type_d_b.json")) if item["pack"] == "linux"]
    assert document | {"artifact_uri": "?"} == expected | {"artifact_uri": "?"}
    assert document["artifact_uri"].endswith("/linux/sensors/file_watch_sensor.py")
    (declared,) = [item for item in stackstorm.documents("trigger_type_d_b") if item["pack"] == "linux"]
    assert declared in without_id(sample("documents/trigger_type_d_b.json"))


def test_the_collections_have_stackstorms_indexes_and_ours_are_apart(
    stackstorm: Workspace, mongo_server: MongoDB
) -> None:
    stackstorm.link_pack("linux")
    stackstorm.add_rule("rules", "watch", "linux.file_watch.line", file_path="/var/log/app.log")
    stackstorm.reload_well()
    with pymongo.MongoClient[dict[str, Any]](mongo_server.url) as client:
        database = client[stackstorm.name]
        for name, indexes in sample("documents/indexes.json").items():
            if name == "rule_d_b":
                continue
            found = database[name].index_information()
            assert set(found) == set(indexes)
            for index, expected in indexes.items():
                for option in ("unique", "sparse", "expireAfterSeconds"):
                    assert found[index].get(option, False) == expected.get(option, False), (name, index, option)
        ours = set(database.list_collection_names()) - set(sample("documents/indexes.json"))
    assert ours
    assert all(name.startswith("st2sensor_") for name in ours)


def test_a_value_of_the_datastore_is_stored_as_stackstorm_stores_it(stackstorm: Workspace) -> None:
    stackstorm.add_sensor(
        "hello_st2",
        "HelloSensor",
        """
        class HelloSensor(Sensor):
            def run(self):
                self.sensor_service.set_value("hello_st2.count", 1)
                self.sensor_service.set_value("plain1", "hello", local=False)
        """,
    )
    stackstorm.reload_well()
    stackstorm.start().wait_for_log("hello_st2.HelloSensor finished")
    expected = [item for item in without_id(sample("documents/key_value_pair_d_b.json")) if not item["secret"]]
    assert stackstorm.documents("key_value_pair_d_b") == expected


def test_a_value_is_announced_as_stackstorm_announces_it(stackstorm: Workspace, rabbit_server: RabbitMQ) -> None:
    stackstorm.add_sensor(
        "hello_st2",
        "HelloSensor",
        """
        class HelloSensor(Sensor):
            def run(self):
                self.sensor_service.set_value("hello_st2.count", 1)
        """,
    )
    stackstorm.reload_well()
    container = stackstorm.start()
    container.wait_for_log("hello_st2.HelloSensor finished")
    container.wait_for_log("connected to")
    ((_, _, body),) = rules_engines(rabbit_server, b"core.st2.key_value_pair.create", 1)
    expected = base64.b64decode(sample("messages/key_value_pair_create.json")["body_base64"])
    identifier = re.search(rb"[0-9a-f]{24}", body)
    assert identifier is not None
    assert body == expected.replace(b"6b037dd444a2a3a86c5672d2", identifier[0])


def rules_engines(
    rabbit_server: RabbitMQ, trigger: bytes, count: int
) -> list[tuple[pika.spec.Basic.GetOk, pika.BasicProperties, bytes]]:
    """The messages of a trigger in the queue of StackStorm's rules engine."""
    seen: list[tuple[pika.spec.Basic.GetOk, pika.BasicProperties, bytes]] = []
    with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
        channel = connection.channel()

        def drained() -> bool:
            method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
            if method is not None and trigger in body:
                seen.append((method, properties, body))
            return len(seen) == count

        eventually("all messages are in the rules engine's queue", drained)
    return seen


def test_messages_equal_stackstorms_byte_for_byte_and_wait_for_the_rules_engine(
    stackstorm: Workspace, rabbit_server: RabbitMQ
) -> None:
    stackstorm.add_sensor(
        "bd",
        "Sender",
        """
        import datetime

        class Sender(Sensor):
            def run(self):
                self.sensor_service.dispatch("bd.t1", {"n": 1, "s": "x"})
                self.sensor_service.dispatch("bd.t1", {"n": 2}, trace_tag="tag-1")
                context = {"id_": "507f1f77bcf86cd799439011", "trace_tag": "t2"}
                self.sensor_service.dispatch_with_context("bd.t1", {"n": 3}, trace_context=context)
                self.sensor_service.dispatch("bd.t1", {"n": 4, "when": datetime.datetime(2020, 1, 1)})
        """,
        trigger_types=[{"name": "t1"}],
    )
    stackstorm.reload_well()
    container = stackstorm.start()
    container.wait_for_log("bd.Sender finished")
    container.wait_for_log("connected to")

    # StackStorm's rules engine starts only now: nothing was lost.
    expected = [sample(f"messages/{name}.json") for name in ("plain", "trace_tag", "trace_id_and_tag", "datetime")]
    seen = rules_engines(rabbit_server, b"bd.t1", len(expected))
    for (method, properties, body), message in zip(seen, expected, strict=True):
        assert base64.b64decode(message["body_base64"]) == body
        assert (method.exchange, method.routing_key) == (message["exchange"], message["routing_key"])
        wanted = message["properties"]
        assert properties.content_type == wanted["content_type"]
        assert properties.content_encoding == wanted["content_encoding"]
        # StackStorm does not say when an event was dispatched.
        ours = {name: properties.headers[name] for name in (CREATED, SENSOR)}
        assert int(ours[CREATED]) // 1_000_000 == properties.timestamp
        assert properties.headers == wanted["application_headers"] | ours
        assert (properties.delivery_mode, properties.priority) == (wanted["delivery_mode"], wanted["priority"])


def test_registering_a_rule_again_counts_it_once_and_two_rules_share_a_trigger(stackstorm: Workspace) -> None:
    stackstorm.link_pack("linux")
    first = stackstorm.add_rule("rules", "one", "linux.file_watch.line", file_path="/a")
    second = stackstorm.add_rule("rules", "two", "linux.file_watch.line", file_path="/a")

    def watched() -> list[tuple[str, int]]:
        found = [item for item in stackstorm.documents("trigger_d_b") if item["type"] == "linux.file_watch.line"]
        return sorted((item["parameters"]["file_path"], item["ref_count"]) for item in found)

    stackstorm.reload_well()
    stackstorm.reload_well()
    assert watched() == [("/a", 2)]
    stackstorm.add_rule("rules", "two", "linux.file_watch.line", file_path="/b")
    stackstorm.reload_well()
    assert watched() == [("/a", 1), ("/b", 1)]
    second.unlink()
    first.unlink()
    stackstorm.reload_well()
    assert watched() == []
