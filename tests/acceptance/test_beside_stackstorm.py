"""A container whose database and broker StackStorm's own tools use, too: what they write is acted on."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest
from bson import ObjectId

from tests.servers.mongodb import MongoDB
from tests.servers.rabbitmq import RabbitMQ, parameters
from tests.servers.waiting import eventually
from tests.workspace import Workspace, complete, sample

HEARS = """
import json
import time

class HelloSensor(Sensor):
    def setup(self):
        self.note("setup", self.config)
    def note(self, what, value):
        self.sensor_service.dispatch("hello_st2.event1", {"what": what, "value": value})
    def add_trigger(self, trigger):
        self.note("add", trigger["parameters"])
    def update_trigger(self, trigger):
        self.note("update", trigger["parameters"])
    def remove_trigger(self, trigger):
        self.note("remove", trigger["parameters"])
    def run(self):
        time.sleep(1000)
"""


class StackStorm:
    """Writes documents and announces them as StackStorm does."""

    def __init__(self, workspace: Workspace) -> None:
        self._client = pymongo.MongoClient[dict[str, Any]](workspace.database)
        self.database = self._client[workspace.name]
        self._connection = pika.BlockingConnection(parameters(workspace.messaging))
        self._channel = self._connection.channel()

    def announce(self, exchange: str, event: str) -> None:
        """A pickled database object, which nobody must read."""
        for name in ("st2.sensor", "st2.trigger"):
            self._channel.exchange_declare(name, "topic", durable=True)
        properties = pika.BasicProperties(content_type="application/x-python-serialize", content_encoding="binary")
        self._channel.basic_publish(exchange, event, pickle.dumps(_Trap()), properties)

    def register(self, sensor: dict[str, Any]) -> None:
        self.database["sensor_type_d_b"].insert_one(sensor)
        for ref in sensor["trigger_types"]:
            (kind,) = [item for item in sample("documents/trigger_type_d_b.json") if item["ref"] == ref]
            (trigger,) = [item for item in sample("documents/trigger_d_b.json") if item["ref"] == ref]
            for collection, document in (("trigger_type_d_b", kind), ("trigger_d_b", trigger)):
                self.database[collection].insert_one({**document, "_id": ObjectId()})
        self.announce("st2.sensor", "create")

    def close(self) -> None:
        self._connection.close()
        self._client.close()


class _Trap:
    """What unpickles it, fails."""

    def __reduce__(self) -> Any:
        return (_sprung, ())


def _sprung() -> None:
    raise AssertionError("an announcement was unpickled")


@pytest.fixture
def workspace(folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Workspace]:
    found = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url, serializer="pickle", prefix="st2")
    yield found
    found.close()


@pytest.fixture
def stackstorm(workspace: Workspace) -> Iterator[StackStorm]:
    found = StackStorm(workspace)
    yield found
    found.close()


def heard(log: list[Any]) -> list[tuple[str, Any]]:
    bodies = [pickle.loads(seen.raw) for seen in log]
    return [
        (body["payload"]["what"], body["payload"]["value"]) for body in bodies if body["trigger"] == "hello_st2.event1"
    ]


def test_what_stackstorms_tools_register_is_run_hears_of_rules_and_is_stopped(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    (sensor,) = [item for item in sample("documents/sensor_type_d_b.json") if item["ref"] == "hello_st2.HelloSensor"]
    sensor["_id"] = ObjectId()
    # Registered on a host with other folders.
    path = workspace.add_pack("hello_st2") / "sensors" / "sensor1.py"
    path.write_text(complete(HEARS))
    workspace.configure("resync_interval = 600")
    container = workspace.start()
    container.wait_for_log("connected to")
    listener = workspace.listen()
    stackstorm.register(sensor)
    eventually("it runs", lambda: heard(listener.seen)[:1] == [("setup", {})])

    ref = "hello_st2.HelloSensor"
    trigger = {
        "_id": ObjectId(),
        "uid": "trigger:hello_st2:6f5d:1c",
        "ref": "hello_st2.6f5d",
        "name": "6f5d",
        "pack": "hello_st2",
        "type": "hello_st2.event1",
        "parameters": {"a": 1},
        "ref_count": 1,
    }
    triggers = stackstorm.database["trigger_d_b"]
    triggers.insert_one(trigger)
    stackstorm.announce("st2.trigger", "create")
    eventually("a rule reaches it", lambda: ("add", {"a": 1}) in heard(listener.seen))
    triggers.delete_one({"_id": trigger["_id"]})
    stackstorm.announce("st2.trigger", "delete")
    eventually("a rule's end reaches it", lambda: ("remove", {"a": 1}) in heard(listener.seen))

    sensors = stackstorm.database["sensor_type_d_b"]
    sensors.update_one({"ref": ref}, {"$set": {"enabled": False}})
    stackstorm.announce("st2.sensor", "update")
    container.wait_for_log(f"{ref} stopped")
    eventually("its process is gone", lambda: container.wrappers() == {})
    sensors.update_one({"ref": ref}, {"$set": {"enabled": True}})
    stackstorm.announce("st2.sensor", "update")
    container.wait_for_log(f"{ref} started", 2)
    sensors.delete_one({"ref": ref})
    stackstorm.announce("st2.sensor", "delete")
    container.wait_for_log(f"{ref} stopped", 2)
    assert "unpickled" not in container.log
    # Nothing of ours is in StackStorm's documents.
    assert {key for document in triggers.find() for key in document} <= {*trigger}
    container.stop()


SLEEPS = "import time\n\nclass S(Sensor):\n    def run(self):\n        time.sleep(1000)\n"


def test_what_an_operator_has_disabled_stays_disabled_over_a_reload(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    path = workspace.add_sensor("p", "S", SLEEPS)
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log("p.S started")
    sensors = stackstorm.database["sensor_type_d_b"]

    def enabled() -> bool:
        return bool((sensors.find_one({"ref": "p.S"}) or {})["enabled"])

    sensors.update_one({"ref": "p.S"}, {"$set": {"enabled": False}})
    stackstorm.announce("st2.sensor", "update")
    container.wait_for_log("p.S stopped")
    for _ in range(2):
        path.write_text(path.read_text() + "\n# changed\n")
        done = workspace.reload()
        assert done.returncode == 0
        assert "warning: sensor p.S stays disabled, as an operator has set it" in done.stderr
        assert not enabled()
    sensors.update_one({"ref": "p.S"}, {"$set": {"enabled": True}})
    stackstorm.announce("st2.sensor", "update")
    assert "stays" not in workspace.reload().stderr
    assert enabled()
    container.wait_for_log("p.S started", 2)

    # What the metadata says counts when it changes and no operator has said anything.
    metadata = path.with_suffix(".yaml")
    metadata.write_text(metadata.read_text() + "enabled: false\n")
    assert "stays" not in workspace.reload().stderr
    assert not enabled()
    container.wait_for_log("p.S stopped", 2)
    metadata.write_text(metadata.read_text().replace("enabled: false\n", ""))
    workspace.reload_well()
    assert enabled()


def test_what_was_disabled_before_st2sensor_came_stays_disabled(workspace: Workspace, stackstorm: StackStorm) -> None:
    workspace.add_sensor("p", "S", SLEEPS)
    workspace.reload_well()
    stackstorm.database["st2sensor_registrations"].delete_many({})
    stackstorm.database["sensor_type_d_b"].update_one({"ref": "p.S"}, {"$set": {"enabled": False}})
    assert "sensor p.S stays disabled" in workspace.reload().stderr
    assert not workspace.documents("sensor_type_d_b")[0]["enabled"]


def test_overrides_count_for_sensors_that_stackstorm_alone_has_registered(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    for name in ("S", "T"):
        workspace.add_sensor("p", name, SLEEPS.replace("class S", f"class {name}"))
    workspace.reload_well()
    stackstorm.database["st2sensor_registrations"].delete_many({})
    (workspace.folder / "overrides").mkdir()
    (workspace.folder / "overrides" / "p.yaml").write_text("sensors: {exceptions: {S: {enabled: false}}}\n")
    assert "stays" not in workspace.reload().stderr
    found = {item["ref"]: item["enabled"] for item in workspace.documents("sensor_type_d_b")}
    assert (found["p.S"], found["p.T"]) == (False, True)
