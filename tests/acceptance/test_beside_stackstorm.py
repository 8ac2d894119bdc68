"""A container whose database and broker StackStorm's own tools use, too: what they write is acted on."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest
from bson import SON, ObjectId

from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, complete, sample

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

    def has_rules(self, *refs: str) -> None:
        """Rules as its registration leaves them, and the triggers that these ask for."""
        rules = [item for item in sample("documents/rule_d_b.json") if item["ref"] in refs]
        asked = {item["trigger"] for item in rules}
        triggers = [item for item in sample("documents/trigger_d_b_of_rules.json") if item["ref"] in asked]
        for collection, documents in (("rule_d_b", rules), ("trigger_d_b", triggers)):
            self.database[collection].insert_many([{**item, "_id": ObjectId()} for item in documents])

    def adds_rule(self, name: str, trigger: str) -> None:
        """A rule for a trigger that is there."""
        (rule,) = [item for item in sample("documents/rule_d_b.json") if item["ref"] == "only.timer"]
        identity = {"_id": ObjectId(), "name": name, "ref": f"only.{name}", "uid": f"rule:only:{name}"}
        self.database["rule_d_b"].insert_one({**rule, **identity, "trigger": trigger})
        self.database["trigger_d_b"].update_one({"ref": trigger}, {"$inc": {"ref_count": 1}})

    def posts_rule(self, name: str, kind: str, parameters: dict[str, Any]) -> None:
        """A rule for a trigger with parameters, as its API makes both."""
        self.adds_rule(name, self._asks_for(kind, parameters))

    def changes_rule(self, name: str, kind: str, parameters: dict[str, Any]) -> None:
        """A rule that asks for another trigger from now on."""
        trigger = self._asks_for(kind, parameters)
        rule = self.database["rule_d_b"].find_one_and_update({"name": name}, {"$set": {"trigger": trigger}})
        assert rule is not None
        self.database["trigger_d_b"].update_one({"ref": trigger}, {"$inc": {"ref_count": 1}})
        self._withdraws(rule["trigger"])

    def deletes_rule(self, name: str) -> None:
        rule = self.database["rule_d_b"].find_one_and_delete({"name": name})
        assert rule is not None
        self._withdraws(rule["trigger"])

    def _asks_for(self, kind: str, parameters: dict[str, Any]) -> str:
        """The reference of a trigger, which is created and announced unless it is there; nobody is counted yet."""
        triggers = self.database["trigger_d_b"]
        known = triggers.find_one({"type": kind, "parameters": parameters})
        if known is not None:
            return str(known["ref"])
        pack, name = kind.split(".")[0], str(uuid.uuid4())
        (like,) = [item for item in sample("documents/trigger_d_b.json") if item["type"] == "core.st2.webhook"]
        digest = hashlib.md5(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
        identity = {"uid": f"trigger:{pack}:{name}:{digest}", "ref": f"{pack}.{name}", "pack": pack, "name": name}
        asked = {"type": kind, "parameters": parameters, "ref_count": 0}
        triggers.insert_one({**like, "_id": ObjectId(), **identity, **asked})
        self.announce("st2.trigger", "create")
        return f"{pack}.{name}"

    def _withdraws(self, trigger: str) -> None:
        triggers = self.database["trigger_d_b"]
        triggers.update_one({"ref": trigger}, {"$inc": {"ref_count": -1}})
        if triggers.delete_one({"ref": trigger, "ref_count": {"$lte": 0}}).deleted_count:
            self.announce("st2.trigger", "delete")

    def asked(self) -> dict[str, int]:
        """The triggers that anybody asks for, with how many do."""
        found = self.database["trigger_d_b"].find({"parameters": {"$exists": True}})
        return {trigger["ref"]: trigger["ref_count"] for trigger in found}

    def asked_by_rules(self) -> dict[str, int]:
        return dict(Counter(rule["trigger"] for rule in self.database["rule_d_b"].find()))

    def listens(self) -> None:
        """As its API, its timers and its sensor container do."""
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        for name in ("st2.sensor", "st2.trigger"):
            self._channel.exchange_declare(name, "topic", durable=True)
            self._channel.queue_bind(self._queue, name, routing_key="#")

    def heard(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Class, event and document of what was announced by now; fails for what its services refuse."""
        found: list[tuple[str, str, dict[str, Any]]] = []
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return found
            assert properties.content_type == "application/x-python-serialize", properties
            assert properties.content_encoding == "binary"
            told = _StackStormUnpickler(io.BytesIO(body)).load()
            assert method.exchange == {"TriggerDB": "st2.trigger", "SensorTypeDB": "st2.sensor"}[type(told).__name__]
            assert type(told._data) is SON
            found.append((type(told).__name__, method.routing_key, told._data.to_dict()))

    def runs_rules_engine(self, queue: str) -> None:
        self._consumer = self._channel.basic_consume(queue, lambda *_: None, auto_ack=True)

    def stops_rules_engine(self) -> None:
        self._channel.basic_cancel(self._consumer)

    def close(self) -> None:
        self._connection.close()
        self._client.close()


class TriggerDB:
    _data: Any


class SensorTypeDB:
    _data: Any


DATABASE_CLASSES = {
    ("st2common.models.db.trigger", "TriggerDB"): TriggerDB,
    ("st2common.models.db.sensor", "SensorTypeDB"): SensorTypeDB,
}


class _StackStormUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return DATABASE_CLASSES.get((module, name)) or super().find_class(module, name)


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


TIMER = {"unit": "seconds", "delta": 3}


def test_rules_that_stackstorm_has_registered_are_counted_once(workspace: Workspace, stackstorm: StackStorm) -> None:
    workspace.add_rule("only", "timer", "core.st2.IntervalTimer", **TIMER)
    stackstorm.has_rules("only.timer")
    (ref,) = stackstorm.asked_by_rules()
    stackstorm.database["trigger_d_b"].update_one({"ref": ref}, {"$set": {"ref_count": 1}})
    before = list(stackstorm.database["rule_d_b"].find())
    for _ in range(2):
        shown = workspace.reload_well()
        assert re.search(r"^kind .* left to StackStorm .*failed$", shown, re.MULTILINE), shown
        assert stackstorm.asked() == stackstorm.asked_by_rules() == {ref: 1}
    assert list(stackstorm.database["rule_d_b"].find()) == before
    assert workspace.documents("st2sensor_rules") == []
    told = workspace.run("st2sensor", "--config-file", str(workspace.config), "rules").stdout
    assert "StackStorm has registered 1 rule: st2 rule list shows them" in told

    # Nor does anybody take away by hand what its rules count.
    refused = workspace.run("st2sensor", "--config-file", str(workspace.config), "triggers", "remove", ref)
    assert refused.returncode == 65
    assert f"{ref} is requested only by 1 rule of StackStorm: st2 rule delete" in refused.stderr
    stackstorm.deletes_rule("timer")
    assert stackstorm.asked() == {}


def test_what_was_counted_before_stackstorm_came_is_given_back(workspace: Workspace, stackstorm: StackStorm) -> None:
    workspace.add_rule("only", "timer", "core.st2.IntervalTimer", **TIMER)
    workspace.add_rule("only", "gone", "core.st2.IntervalTimer", unit="seconds", delta=4)
    workspace.reload_well()
    (rule,) = [item for item in workspace.documents("st2sensor_rules") if item["name"] == "timer"]
    assert sorted(stackstorm.asked().values()) == [1, 1]
    stackstorm.adds_rule("timer", rule["trigger"])
    stackstorm.adds_rule("another", rule["trigger"])

    assert re.search(r"^rule +only.timer +given back to StackStorm$", workspace.reload_well(), re.MULTILINE)
    assert stackstorm.asked() == stackstorm.asked_by_rules() == {rule["trigger"]: 2}
    assert workspace.documents("st2sensor_rules") == []
    assert "given back" not in workspace.reload_well()
    assert stackstorm.asked() == stackstorm.asked_by_rules()
    stackstorm.deletes_rule("timer")
    stackstorm.deletes_rule("another")
    assert stackstorm.asked() == {}


def test_away_from_stackstorm_its_rules_are_taken_over(workspace: Workspace, stackstorm: StackStorm) -> None:
    path = workspace.add_rule("only", "timer", "core.st2.IntervalTimer", **TIMER)
    stackstorm.has_rules("only.timer")
    (before,) = stackstorm.asked()
    # What docs/migrating.md says to type.
    stackstorm.database["trigger_d_b"].update_many({"ref_count": {"$gt": 0}}, {"$set": {"ref_count": 0}})
    stackstorm.database["rule_d_b"].rename("rule_d_b_of_stackstorm")
    assert re.search(r"^rule +only.timer +created$", workspace.reload_well(), re.MULTILINE)
    assert stackstorm.asked() == {before: 1}
    path.unlink()
    workspace.reload_well()
    assert stackstorm.asked() == {}


def test_stackstorms_services_hear_of_what_is_registered_here(workspace: Workspace, stackstorm: StackStorm) -> None:
    stackstorm.listens()
    asked = {"type": "object", "properties": {"n": {"type": "integer"}}}
    types = [{"name": "plain"}, {"name": "asked", "parameters_schema": asked}]
    path = workspace.add_sensor("p", "S", SLEEPS, trigger_types=types)
    workspace.add_rule("p", "r", "p.asked", n=1)
    workspace.reload_well()

    stored = stackstorm.database["trigger_d_b"]
    told = {data["ref"]: data for kind, event, data in stackstorm.heard() if (kind, event) == ("TriggerDB", "create")}
    assert told == {document["ref"]: document for document in stored.find()}
    assert any(document["type"] == "p.asked" and document["parameters"] == {"n": 1} for document in told.values())

    (sensor,) = stackstorm.database["sensor_type_d_b"].find()
    path.write_text(path.read_text() + "\n# changed\n")
    workspace.reload_well()
    assert stackstorm.heard() == [("SensorTypeDB", "update", sensor)]
    metadata = path.with_suffix(".yaml")
    metadata.write_text(metadata.read_text().replace("name: plain", "description: d\n  name: plain"))
    workspace.reload_well()
    assert ("TriggerDB", "update", stored.find_one({"ref": "p.plain"})) in stackstorm.heard()
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "disable", "p.S")
    assert done.returncode == 0, done.stderr
    assert stackstorm.heard() == [("SensorTypeDB", "update", {**sensor, "enabled": False})]

    (trigger,) = stored.find({"type": "p.asked"})
    (workspace.packs / "p" / "rules" / "r.yaml").unlink()
    path.unlink()
    metadata.unlink()
    workspace.reload_well()
    gone = stackstorm.heard()
    assert ("TriggerDB", "delete", trigger) in gone
    assert ("SensorTypeDB", "delete", {**sensor, "enabled": False}) in gone


NAMES = """
import time

class S(Sensor):
    def add_trigger(self, trigger):
        for name in ("id", "uid"):
            self.sensor_service.dispatch({name: trigger[name]}, {"by": name, "n": 1})
        self.sensor_service.dispatch({"uid": trigger["uid"]}, {"by": "uid", "n": "no number"})
    def run(self):
        time.sleep(1000)
"""


def test_a_dispatch_by_id_or_uid_alone_finds_its_trigger(workspace: Workspace, stackstorm: StackStorm) -> None:
    schema = {"type": "object", "properties": {"by": {"type": "string"}, "n": {"type": "integer"}}}
    asked = {"name": "asked", "parameters_schema": {"type": "object"}, "payload_schema": schema}
    workspace.add_sensor("peer", "S", NAMES, trigger_types=[asked])
    workspace.reload_well()
    stackstorm.has_rules("peer.ask_one")
    (trigger,) = stackstorm.database["trigger_d_b"].find({"type": "peer.asked"})
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("does not fit the payload_schema of peer.asked: n: is of type string")
    expected = [({"id": str(trigger["_id"])}, "id"), ({"uid": trigger["uid"]}, "uid")]

    def seen() -> list[tuple[Any, Any]]:
        bodies = [pickle.loads(message.raw) for message in list(listener.seen)]
        return [(body["trigger"], body["payload"]["by"]) for body in bodies if "by" in body["payload"]]

    eventually("both are published", lambda: seen() == expected)


REFUSED = "class B(PollingSensor):\n    def poll(self):\n        self.sensor_service.dispatch('bad.e', {'l': ['x']})\n"
WRONG = {"type": "object", "properties": {"l": {"type": "array", "items": "string"}}}


def test_a_refused_type_is_told_with_the_reason(workspace: Workspace) -> None:
    path = workspace.add_sensor(
        "bad", "B", REFUSED, poll_interval=0.5, trigger_types=[{"name": "e", "payload_schema": WRONG}]
    )
    workspace.add_rule("bad", "r", "bad.e", n=1)
    reason = "payload_schema of trigger bad.e is not a valid JSON schema: properties.l.items: 'string' is not valid"
    done = workspace.reload()
    assert done.returncode == 1
    assert f"error: {path.with_suffix('.yaml')}:" in done.stderr
    assert "trigger type bad.e was refused" in done.stderr
    assert reason in done.stderr

    container = workspace.start()
    container.wait_for_log("bad.B dispatched bad.e, which is kept as a dead letter: trigger type bad.e was refused: ")
    commands = (("dead-letters", "list"), ("dead-letters", "show", "1"), ("show", "bad.B", "--json"))
    for command in (*commands, ("dispatch", "bad.e", "{}")):
        told = workspace.run("st2sensor", "--config-file", str(workspace.config), *command)
        assert "not registered" not in told.stdout + told.stderr, command
        said = told.stdout + told.stderr
        assert "trigger type bad.e was refused" in said or reason in said, command
    assert reason in workspace.run("st2sensor", "validate", "packs/bad").stdout
    container.stop()

    # StackStorm publishes it, where it does not validate.
    workspace.config.write_text(
        workspace.config.read_text().replace("[system]\n", "[system]\nvalidate_trigger_payload = False\n")
    )
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("bad.B dispatched bad.e, published all the same: its trigger type was refused: ")
    eventually("it arrives", lambda: any(pickle.loads(seen.raw)["trigger"] == "bad.e" for seen in list(listener.seen)))
    container.stop()

    metadata = path.with_suffix(".yaml")
    metadata.write_text(metadata.read_text().replace("items: string", "items: {type: string}"))
    workspace.reload_well()
    assert workspace.documents("st2sensor_refusals") == []


@pytest.mark.parametrize("serializer", ["json", pytest.param("pickle", marks=pytest.mark.soak)])
def test_a_serializer_that_does_not_fit_the_rules_engine_is_told(
    folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ, serializer: str
) -> None:
    # With a queue of its own: others take from StackStorm's.
    workspace = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url, serializer=serializer)
    queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
    said = {
        "json": f"serializer = json does not fit: 1 consumer is on {queue}",
        "pickle": f"serializer = pickle does not fit: nobody consumes {queue}",
    }[serializer]
    with closing(workspace), closing(StackStorm(workspace)) as stackstorm:
        workspace.reload_well()
        if serializer == "json":
            # With json, the container leaves StackStorm's queue to StackStorm.
            workspace.declare_queue()
            stackstorm.runs_rules_engine(queue)
        container = workspace.start()
        container.wait_for_log(said)
        shown = workspace.run("st2sensor", "--config-file", str(workspace.config), "top", "--once").stdout
        assert f"serializer = {serializer} does not fit" in " ".join(shown.split())
        if serializer == "json":
            stackstorm.stops_rules_engine()
        else:
            stackstorm.runs_rules_engine(queue)
        container.wait_for_log(f"serializer = {serializer} fits the consumers of {queue} again")
        assert container.log.count("does not fit") == 1


COLLECTIONS = ("sensor_type_d_b", "trigger_type_d_b", "trigger_d_b")


def empty_fields(collection: str, document: dict[str, Any]) -> dict[str, Any]:
    """The fields that StackStorm stores in a new document, and removes when it registers the same again."""
    names: dict[str, dict[str, Any]] = {"trigger_type_d_b": {"tags": [], "parameters_schema": {}, "payload_schema": {}}}
    if collection == "trigger_d_b" and document["ref"] == document["type"]:
        return {"parameters": {}}
    return names.get(collection, {})


def as_stackstorm_writes(collection: str) -> dict[str, dict[str, Any]]:
    """The samples, by reference, with all fields that the first registration stores."""
    documents = {item["ref"]: dict(item) for item in sample(f"documents/{collection}.json")}
    for document in documents.values():
        del document["_id"]
    return {ref: empty_fields(collection, document) | document for ref, document in documents.items()}


def test_documents_that_stackstorm_has_just_written_are_left_as_they_are(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    workspace.link_pack("linux")
    workspace.reload_well()
    database = stackstorm.database
    for name in database.list_collection_names():
        if name.startswith("st2sensor_"):
            database[name].drop()
    # It registers the same packs for the first time.
    for collection in COLLECTIONS:
        for document in database[collection].find():
            stored = {key: value for key, value in document.items() if key != "_id"}
            new = as_stackstorm_writes(collection).get(document["ref"], stored)
            if "artifact_uri" in stored:
                # The packs are in another folder here.
                new["artifact_uri"] = stored["artifact_uri"]
            new = empty_fields(collection, document) | new
            database[collection].replace_one({"_id": document["_id"]}, new)
    before = {name: list(database[name].find()) for name in COLLECTIONS}
    stackstorm.listens()
    for _ in range(2):
        shown = workspace.reload_well()
        assert not re.search(r"^trigger type .* changed$", shown, re.MULTILINE), shown
        assert {name: list(database[name].find()) for name in COLLECTIONS} == before
        assert [data for kind, _, data in stackstorm.heard() if kind == "TriggerDB"] == []
    assert any(document["tags"] == [] for document in before["trigger_type_d_b"])


ASKED = {"name": "asked", "parameters_schema": {"type": "object"}, "payload_schema": {"type": "object"}}

LISTENS = HEARS.replace("hello_st2.event1", "peer.told").replace("HelloSensor", "S")


def test_rules_that_stackstorms_api_creates_changes_disables_and_deletes_reach_the_sensor_and_are_never_counted_here(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    workspace.add_sensor("peer", "S", LISTENS, trigger_types=[{"name": "told"}, ASKED])
    workspace.reload_well()
    workspace.configure("resync_interval = 600")
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("peer.S started")

    def told(what: str, parameters: Any) -> int:
        bodies = [pickle.loads(message.raw) for message in list(listener.seen)]
        notes = [body["payload"] for body in bodies if body["trigger"] == "peer.told"]
        return notes.count({"what": what, "value": parameters})

    def has_right_counts() -> None:
        workspace.reload_well()
        assert stackstorm.asked() == stackstorm.asked_by_rules()

    first, second = {"a": 1}, {"a": 2}
    stackstorm.posts_rule("one", "peer.asked", first)
    eventually("its trigger is added", lambda: told("add", first) == 1)
    stackstorm.posts_rule("two", "peer.asked", first)
    assert sorted(stackstorm.asked().values()) == [2]
    has_right_counts()

    # A disabled rule keeps its trigger.
    stackstorm.database["rule_d_b"].update_one({"name": "two"}, {"$set": {"enabled": False}})
    has_right_counts()
    # Its API changes a rule by creating the new trigger first.
    stackstorm.changes_rule("two", "peer.asked", second)
    eventually("the new trigger is added", lambda: told("add", second) == 1)
    has_right_counts()
    assert sorted(stackstorm.asked().values()) == [1, 1]

    stackstorm.deletes_rule("one")
    eventually("the first trigger is removed", lambda: told("remove", first) == 1)
    has_right_counts()
    stackstorm.deletes_rule("two")
    eventually("the second trigger is removed", lambda: told("remove", second) == 1)
    assert stackstorm.asked() == {}
    assert (told("add", first), told("add", second)) == (1, 1)
    container.stop()


def test_going_back_leaves_documents_that_stackstorm_would_write_and_counts_of_its_rules_alone(
    workspace: Workspace, stackstorm: StackStorm
) -> None:
    path = workspace.add_sensor("peer", "S", LISTENS, trigger_types=[{"name": "told"}, ASKED])
    workspace.reload_well()
    stackstorm.posts_rule("one", "peer.asked", {"a": 1})
    (reference,) = stackstorm.asked()
    st2sensor = ("st2sensor", "--config-file", str(workspace.config), "triggers")
    assert workspace.run(*st2sensor, "add", "peer.asked", "a=1").returncode == 0
    assert workspace.run(*st2sensor, "add", "peer.asked", "a=2").returncode == 0
    assert sorted(stackstorm.asked().values()) == [1, 2]
    container = workspace.start()
    container.wait_for_log("peer.S started")
    container.stop()

    for trigger in list(stackstorm.asked()):
        assert workspace.run(*st2sensor, "remove", trigger).returncode == 0
    assert stackstorm.asked() == stackstorm.asked_by_rules() == {reference: 1}
    (sensor,) = stackstorm.database["sensor_type_d_b"].find()
    del sensor["_id"]
    assert sensor == {
        "uid": "sensor_type:peer:S",
        "ref": "peer.S",
        "pack": "peer",
        "name": "S",
        "metadata_file": f"sensors/{path.with_suffix('.yaml').name}",
        "artifact_uri": f"file://{path}",
        "entry_point": f"sensors.{path.stem}.S",
        "trigger_types": ["peer.told", "peer.asked"],
        "enabled": True,
    }
    for collection in COLLECTIONS:
        forms = {item["ref"]: {*item} for item in sample(f"documents/{collection}.json")}
        allowed = set().union(*forms.values())
        for document in stackstorm.database[collection].find():
            assert None not in document.values()
            assert {*document} <= allowed
    ours = {name for name in stackstorm.database.list_collection_names() if not name.endswith("_d_b")}
    assert all(name.startswith("st2sensor_") for name in ours)
