"""Why did my rule not fire? Each cause is seeded; `why` names it and says what to do.

Causes on this host need only files. The others use StackStorm's documents, on one MongoDB and one RabbitMQ.
"""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pika
import pymongo
import pytest
import yaml
from bson import Binary, ObjectId

from st2sensor import config
from st2sensor.cli.commands.why import sources_of
from st2sensor.history.event import Outcome, State
from st2sensor.history.file import NAME
from st2sensor.history.reader import History
from st2sensor.history.writer import HistoryWriter
from st2sensor.models import Refusal, Rule, SensorType, Trigger, TriggerType
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import COLUMNS, columns_of
from st2sensor.outbox.entry import Entry
from st2sensor.portable import isotime
from st2sensor.reports import CONTROL_SOCKET, Check, Hang, SensorReport
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.why.causes.explanation import findings
from st2sensor.why.finding import Finding
from st2sensor.why.gathering import Gathering
from st2sensor.why.life import Attempt, EventLife
from tests.plugins.patience import SOON
from tests.support.control_peer import Peer, node
from tests.support.servers.rabbitmq import parameters
from tests.support.workspace import Workspace, sample

SCHEMA = {"type": "object", "properties": {"disk": {"type": "integer"}, "token": {"secret": True}}}
PAYLOAD = {"disk": 85, "host": "web-01", "list": [{"n": 1}, {"n": 2}], "token": "hunter22", "long": "a" * 60}
INSERT = f"INSERT INTO outbox ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class World:
    """A configuration, and what is seeded into it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.settings: Settings = config.load([str(workspace.config)])
        self.now = time.time()
        self._lives: list[EventLife] = []
        self._peers: list[Peer] = []
        workspace.state.mkdir(exist_ok=True)
        with closing(open_storage(self.settings.database)) as storage:
            storage.prepare()

    def close(self) -> None:
        for peer in self._peers:
            peer.close()

    def why(self, asked: str) -> list[Finding]:
        settings = self.settings = config.load([str(self.workspace.config)])
        with sources_of(settings) as sources:
            if self._lives:
                sources = replace(sources, lives=Fixed(self._lives))
            return findings(Gathering(sources, settings.messaging, self.now).facts(asked))

    # Seeds.

    def stores(self, *entities: Any) -> None:
        with closing(open_storage(self.settings.database)) as storage:
            for entity in entities:
                storage.put(entity)

    def has_type(self, **changes: Any) -> None:
        kind = TriggerType(**({"pack": "net", "name": "event", "payload_schema": SCHEMA} | changes))
        self.stores(kind, Trigger(pack=kind.pack, name=kind.name, type=kind.ref))

    def has_sensor(self, enabled: bool = True) -> None:
        self.has_type()
        self.stores(
            SensorType(
                pack="net",
                name="DiskSensor",
                artifact_uri="file:///x.py",
                entry_point="sensors.x.DiskSensor",
                trigger_types=("net.event",),
                enabled=enabled,
            )
        )

    def runs(self, state: str, **changes: Any) -> None:
        """A container that reports a sensor in a state."""
        self.has_type()
        report = SensorReport(ref="net.DiskSensor", state=state, trigger_types=("net.event",), **changes)
        self.answers(sensors=lambda **_: [report])

    def container(self, *failed: tuple[str, str]) -> None:
        """A container with checks that fail."""
        checks = tuple(Check(name=name, ok=False, since=1.0, reason=reason) for name, reason in failed)
        self.answers(node=lambda: node(checks=checks))

    def answers(self, **answers: Callable[..., Any]) -> None:
        self._peers.append(Peer(self.workspace.state / CONTROL_SOCKET, answers))

    def waits(self, message_id: str = "m1", payload: Any = PAYLOAD, trigger: str = "net.event") -> None:
        self._write(INSERT, columns_of(self._entry(message_id, payload, trigger)))

    def dies(self, reason: str) -> None:
        self._write(BURY, (*columns_of(self._entry("m1", PAYLOAD, "net.event")), reason, 0.0, False))

    def _entry(self, message_id: str, payload: Any, trigger: str) -> Entry:
        body = {"trigger": trigger, "payload": payload, "trace_context": {"id_": None, "trace_tag": "deploy-1"}}
        return Entry(
            message_id=message_id,
            sensor="net.DiskSensor",
            trigger=trigger,
            trigger_type="net.event",
            created=self.now - 7,
            body=json.dumps(body, separators=(",", ":")),
        )

    def keeps(self, state: State = State.CONFIRMED, *, created: float = 7.0, **changes: Any) -> None:
        """The history of a container with an event that has left the outbox.

        :param created: seconds ago.
        """
        self.has_type()
        entry = replace(self._entry("m1", PAYLOAD, "net.event"), created=self.now - created)
        usual: dict[str, Any] = {"settled": self.now - 1, "attempts": 1, "exchange": "x", "routing_key": "k"}
        outcome = Outcome(entry=entry, state=state, **(usual | changes))
        with closing(HistoryWriter(self.settings.container.state_dir / NAME, self.settings.history)) as writer:
            writer.offer([outcome])

    def replays(self) -> None:
        with closing(History(self.settings.container.state_dir / NAME)) as history:
            history.add_replays(["m1"], self.now, "a_queue")

    def _write(self, query: str, values: Sequence[object]) -> None:
        outbox = self.settings.container.state_dir / "outbox.db"
        with closing(open_file(outbox, self.settings.outbox.durability)) as connection:
            connection.execute(query, tuple(values))

    def rule(self, criteria: Any = None, trigger: str = "net.event", parameters: Any = None, **changes: Any) -> None:
        """A rule of a pack, as st2sensor registers it."""
        pack = self.workspace.add_pack("net")
        name = f"r{uuid.uuid4().hex[:6]}"
        asked = {"type": trigger, "parameters": parameters or {}}
        content = {"name": name, "enabled": True, "trigger": asked, "criteria": criteria or {}} | changes
        (pack / "rules" / f"{name}.yaml").write_text(yaml.safe_dump(content))
        record = Rule(
            pack="net",
            name=name,
            metadata_file=f"rules/{name}.yaml",
            trigger_type=trigger,
            parameters={},
            trigger=trigger,
        )
        self.stores(record)

    def waits_for_rule(self, criteria: Any = None, payload: Any = PAYLOAD, **changes: Any) -> None:
        self.has_type()
        self.waits(payload=payload)
        self.rule(criteria, **changes)

    def lived(self, **changes: Any) -> None:
        """An event with a life, as the history has it."""
        usual: dict[str, Any] = {
            "message_id": "m1",
            "sensor": "net.DiskSensor",
            "trigger": "net.event",
            "trigger_type": "net.event",
            "created": self.now - 100,
            "confirmed": self.now - 99,
            "payload": PAYLOAD,
            "source": "history",
        }
        self._lives.append(EventLife(**(usual | changes)))
        if len(self._lives) == 1:
            self.has_type()


@dataclass
class Fixed:
    """Lives that are given."""

    lives: Sequence[EventLife]

    def named(self, identifier: str) -> Sequence[EventLife]:
        return [life for life in self.lives if life.message_id == identifier]

    def traced(self, tag: str) -> Sequence[EventLife]:
        return [life for life in self.lives if life.trace_tag == tag]

    def of_trigger(self, ref: str) -> Sequence[EventLife]:
        return [life for life in self.lives if ref in (life.trigger, life.trigger_type)]


W = TypeVar("W", bound=World)

Seed = Callable[[World], object]


def both(first: Callable[[W], object], second: Callable[[W], object]) -> Callable[[W], object]:
    def seed(world: W) -> None:
        first(world)
        second(world)

    return seed


def stuck(check: str, reason: str) -> Seed:
    return both(lambda world: world.waits(), lambda world: world.container((check, reason)))


def criterion(key: str, **parts: Any) -> Seed:
    return lambda world: world.waits_for_rule({key: parts})


TYPE = "net.event"

HERE: list[tuple[str, str, Seed]] = [
    ("type-unknown", "net.evnt", lambda world: world.has_type()),
    ("type-refused", TYPE, lambda w: w.stores(Refusal(pack="net", name="event", metadata_file="x", error="line 3"))),
    ("no-sensor", TYPE, lambda world: world.has_type()),
    ("sensor-disabled", TYPE, lambda world: world.has_sensor(enabled=False)),
    ("no-container", TYPE, lambda world: world.has_sensor()),
    ("sensor-disabled", TYPE, both(lambda w: w.keeps(), lambda w: w.has_sensor(enabled=False))),
    ("no-container", TYPE, both(lambda world: world.keeps(), lambda world: world.has_sensor())),
    ("no-sensor", TYPE, lambda world: world.keeps()),
    ("sensor-failing", TYPE, lambda world: world.runs("backoff", reason="ended with exit code 1")),
    ("sensor-failing", TYPE, lambda world: world.runs("running", failing=True)),
    ("sensor-elsewhere", TYPE, lambda world: world.runs("elsewhere", node="b", reason="node b holds it")),
    ("sensor-refused", TYPE, lambda world: world.runs("refused", reason="no entry point")),
    ("sensor-waiting", TYPE, lambda world: world.runs("waiting", reason="no node may run it")),
    ("sensor-finished", TYPE, lambda world: world.runs("finished", reason="run() returned")),
    ("sensor-hangs", TYPE, lambda world: world.runs("running", hang=Hang(what="poll()", since=1.0, heard=None))),
    ("nothing-dispatched", TYPE, lambda world: world.runs("running")),
    ("event-unknown", "m1", lambda world: world.has_type()),
    ("dead-unregistered", "m1", lambda world: world.dies("trigger net.event is not registered")),
    ("dead-type-refused", "m1", lambda world: world.dies("trigger type net.event was refused: line 3")),
    (
        "dead-schema",
        "m1",
        lambda world: world.dies("the payload does not fit the payload_schema of x: n: is"),
    ),
    ("dead-too-large", "m1", lambda w: w.dies("the payload has 20 bytes, more than [system] max_payload = 16")),
    ("dead-not-object", "m1", lambda world: world.dies("the payload is of type array, not object")),
    ("dead-check-too-slow", "m1", lambda world: world.dies("checking the payload against x took more than 2 s")),
    ("dead-not-storable", "m1", lambda world: world.dies("StackStorm's rules engine cannot store the payload: it has")),
    ("dead-refused-by-broker", "m1", lambda world: world.dies("the broker at amqp://h refused it: too large")),
    ("dead", "1", lambda world: world.dies("something new")),
    ("waiting-no-container", "m1", lambda world: world.waits()),
    ("waiting-no-container", "deploy-1", lambda world: world.waits()),
    (
        "waiting-broker",
        "m1",
        stuck("broker", "cannot reach the broker"),
    ),
    (
        "waiting-blocked",
        "m1",
        stuck("broker", "the broker blocks its publishers (x)"),
    ),
    (
        "waiting-forbidden",
        "m1",
        stuck("routing keys", "the broker refuses x"),
    ),
    ("waiting", "m1", both(lambda world: world.waits(), lambda world: world.container())),
    ("duplicate", "m1", both(lambda world: world.waits(), lambda world: world.waits())),
    ("schema", "m1", both(lambda world: world.has_type(), lambda world: world.waits(payload={"disk": "full"}))),
    ("no-rule", "m1", both(lambda world: world.has_type(), lambda world: world.waits())),
    ("rule-named", "net.full", lambda world: world.waits_for_rule({"trigger.disk": {"type": "exists"}}, name="full")),
    ("criterion", "full", lambda w: w.waits_for_rule({"trigger.disk": {"type": "gt", "pattern": 90}}, name="full")),
    ("rule-disabled", "net.full", both(lambda w: w.has_type(), lambda w: w.rule(name="full", enabled=False))),
    ("type-unknown", "net.full", lambda world: world.rule(name="full")),
    ("rule-asks", TYPE, both(lambda world: world.has_sensor(), lambda world: world.rule())),
    ("rule-matches", "m1", lambda world: world.waits_for_rule({"trigger.disk": {"type": "gt", "pattern": 80}})),
    ("rule-other-type", "m1", lambda world: world.waits_for_rule(trigger="net.events")),
    ("rule-disabled", "m1", lambda world: world.waits_for_rule(enabled=False)),
    ("rule-empty-payload", "m1", lambda world: world.waits_for_rule({"trigger.a": {"type": "exists"}}, payload={})),
    ("rule-other-parameters", "m1", lambda w: w.waits_for_rule({}, parameters={"a": 1})),
    ("criterion", "m1", criterion("trigger.disk", type="gt", pattern=90)),
    ("criterion", "m1", criterion("trigger.disk", type="equals", pattern="85")),
    ("criterion", "m1", criterion("trigger.host", type="matchwildcard", pattern="db-*")),
    ("criterion", "m1", criterion("trigger['host']", type="regex", pattern="^web$")),
    ("criterion", "m1", criterion("trigger.host", type="inside", pattern=["a", "b"])),
    ("criterion", "m1", criterion("trigger.token", type="equals", pattern="hunter23")),
    (
        "criterion",
        "m1",
        criterion("trigger.list", type="search", condition="all", pattern={"item.n": {"type": "eq", "pattern": 1}}),
    ),
    ("criterion-missing-key", "m1", criterion("trigger.disc", type="gt", pattern=90)),
    ("criterion-no-operator", "m1", criterion("trigger.disk", type="equal", pattern=90)),
    ("criterion-no-pattern", "m1", criterion("trigger.disk", type="equals")),
    ("criterion-not-comparable", "m1", criterion("trigger.disk", type="gt", pattern="90")),
    ("criterion-not-rendered", "m1", criterion("trigger.disk", type="gt", pattern="{{ triger.x }}")),
    ("criterion-missing-value", "m1", criterion("trigger.host", type="equals", pattern="{{ st2kv.system.host }}")),
    ("criterion-unclear", "m1", criterion("trigger.disk", type="gt", pattern="{{ trigger.x | version_bump_minor }}")),
    (
        "rule-unclear",
        "m1",
        lambda w: w.waits_for_rule({"trigger.a": {"type": "regex", "pattern": "^(a+)+$x"}}, {"a": "a" * 60}),
    ),
    ("late", "m1", lambda world: world.lived(is_late=True)),
    ("replayed", "m1", lambda world: world.lived(replayed=1.0)),
    ("delayed", "m1", lambda world: world.lived(created=world.now - 7200)),
    ("unrouted", "m1", lambda world: world.lived(unrouted=1.0, confirmed=None)),
    ("attempts", "m1", lambda world: world.lived(attempts=[Attempt(at=1.0, refusal="blocked")])),
    # As a container records them.
    ("late", "m1", lambda world: world.keeps(is_late=True)),
    ("replayed", "m1", both(lambda world: world.keeps(), lambda world: world.replays())),
    ("delayed", TYPE, lambda world: world.keeps(created=7200)),
    ("unrouted", "deploy-1", lambda world: world.keeps(State.UNROUTED, reason="no queue takes it")),
    ("attempts", "m1", lambda world: world.keeps(attempts=3, problem="blocked")),
    ("dead-schema", "m1", lambda world: world.keeps(State.DEAD, reason="it does not fit", attempts=0)),
    (
        "criterion",
        "m1",
        both(lambda w: w.keeps(), lambda w: w.rule({"trigger.disk": {"type": "gt", "pattern": 90}})),
    ),
]
"""The code that `why` must name, the question, and the cause."""


@pytest.fixture
def here(embedded: Workspace) -> Iterator[World]:
    world = World(embedded)
    yield world
    world.close()


def is_named(code: str, found: Sequence[Finding]) -> Finding:
    named = [finding for finding in found if finding.code == code]
    assert named, [(finding.code, finding.text) for finding in found]
    assert "hunter2" not in repr(found)
    return named[0]


def ids(cases: Sequence[tuple[str, str, Seed]]) -> list[str]:
    return [f"{number}-{code}" for number, (code, _, _) in enumerate(cases)]


@pytest.mark.parametrize(("code", "asked", "seed"), HERE, ids=ids(HERE))
def test_a_cause_on_this_host_is_named(here: World, code: str, asked: str, seed: Seed) -> None:
    seed(here)
    found = is_named(code, here.why(asked))
    assert found.remedy or found.level == "note"


# With StackStorm.


@pytest.fixture
def stackstorm(served: Workspace) -> Iterator[StackStorm]:
    world = StackStorm(served)
    yield world
    world.close()


class StackStorm(World):
    """A world whose database and broker StackStorm uses as well. Its documents are the samples."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._client = pymongo.MongoClient[dict[str, Any]](workspace.database)
        self.database = self._client[workspace.name]
        self._broker = pika.BlockingConnection(parameters(workspace.messaging))
        self._channel = self._broker.channel()
        self.has_type(pack="peer", name="event", payload_schema=None)

    def close(self) -> None:
        super().close()
        self._client.close()
        self._broker.close()

    def received(self, index: int = 0, **changes: Any) -> str:
        """A trigger instance: `match`, the first one, matches the rule of the samples, and the second one does not."""
        document = sample("documents/trigger_instance_d_b.json")[index]
        document |= {
            "_id": ObjectId(),
            "payload": Binary(base64.b64decode(document["payload"]["$binary"]["base64"])),
            "occurrence_time": datetime.now(UTC),
        }
        self.database.trigger_instance_d_b.insert_one(document | changes)
        return str(document["_id"])

    def has_rule(self, name: str = "on_event", **changes: Any) -> None:
        (rule,) = [item for item in sample("documents/rule_d_b.json") if item["ref"] == "peer.on_event"]
        changes = {
            "_id": made(timedelta(days=-1)),
            "name": name,
            "ref": f"peer.{name}",
            "uid": f"rule:peer:{name}",
        } | changes
        self.database.rule_d_b.insert_one(rule | changes)

    def enforced(self, instance: str, **changes: Any) -> None:
        enforcement = sample("documents/rule_enforcement_d_b.json")[0]
        execution = sample("documents/action_execution_d_b.json")[0]
        identifier = ObjectId()
        enforcement |= {"_id": ObjectId(), "trigger_instance_id": instance, "execution_id": str(identifier)}
        status = changes.pop("action", "succeeded")
        self.database.rule_enforcement_d_b.insert_one(enforcement | changes)
        self.database.action_execution_d_b.insert_one(execution | {"_id": identifier, "status": status})

    def published(self, **changes: Any) -> None:
        """An event that the broker has confirmed."""
        payload = {"id": "plain", "kind": "match"}
        self.lived(**({"trigger": "peer.event", "trigger_type": "peer.event", "payload": payload} | changes))

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        return {name: list(self.database[name].find()) for name in self.database.list_collection_names()}

    def declares(self, exchange: str) -> None:
        """Declare an exchange passively. Raises ChannelClosedByBroker if it does not exist."""
        self._channel.exchange_declare(exchange, passive=True)

    def exchange(self, *queues: str, key: str = "#", consumed: bool = False) -> None:
        """The exchange, and queues that are bound to it."""
        exchange = f"{self.workspace.prefix}.trigger_instances_dispatch"
        self._channel.exchange_declare(exchange, "topic", durable=True)
        for name in queues:
            queue = f"{exchange}.{name}"
            self._channel.queue_declare(queue, durable=True)
            self._channel.queue_bind(queue, exchange, routing_key=key)
            if consumed:
                self._channel.basic_consume(queue, lambda *_: None)


def made(when: timedelta) -> ObjectId:
    """Return an id of a document that was made at another time."""
    return ObjectId(int(time.time() + when.total_seconds()).to_bytes(4) + os.urandom(8))


def instance(**changes: Any) -> Callable[[StackStorm], str]:
    def seed(world: StackStorm) -> str:
        world.has_rule()
        return world.received(**changes)

    return seed


def enforced(**changes: Any) -> Callable[[StackStorm], str]:
    def seed(world: StackStorm) -> str:
        found = instance()(world)
        world.enforced(found, **changes)
        return found

    return seed


def with_rule(index: int = 0, **changes: Any) -> Callable[[StackStorm], str]:
    def seed(world: StackStorm) -> str:
        world.has_rule(**changes)
        return world.received(index)

    return seed


def published(*seeds: Callable[[StackStorm], object], **changes: Any) -> Callable[[StackStorm], str]:
    def seed(world: StackStorm) -> str:
        world.has_rule()
        for other in seeds:
            other(world)
        world.published(**changes)
        return "m1"

    return seed


def serialized(form: str, *, consumed: bool) -> Callable[[StackStorm], str]:
    def seed(world: StackStorm) -> str:
        world.workspace.serializer = form
        world.workspace.configure()
        world.exchange("rules_engine", consumed=consumed)
        world.published()
        return "m1"

    return seed


def pickled(world: StackStorm) -> None:
    world.workspace.serializer = "pickle"
    world.workspace.configure()


def backstop(world: StackStorm) -> str:
    world.has_rule("last", type={"ref": "backstop", "parameters": {}}, criteria={})
    return enforced()(world)


def other_parameters(world: StackStorm) -> str:
    (asked,) = [item for item in sample("documents/trigger_d_b_of_rules.json") if item["type"] == "peer.asked"]
    world.database.trigger_d_b.insert_one(asked | {"_id": ObjectId()})
    world.has_type(pack="peer", name="asked", payload_schema=None)
    world.has_rule("ask_one", trigger=asked["ref"])
    return world.received(trigger="peer.asked")


def other_host(world: StackStorm) -> str:
    world.workspace.messaging = f"{world.workspace.messaging.rstrip('/')}/nowhere"
    world.workspace.configure()
    world.published()
    return "m1"


ENGINE: list[tuple[str, Callable[[StackStorm], str]]] = [
    ("no-exchange", published()),
    ("no-queue", published(pickled, lambda world: world.exchange())),
    ("not-evaluated", published(lambda world: world.exchange())),
    ("wrong-serializer", serialized("json", consumed=True)),
    ("no-rules-engine", serialized("pickle", consumed=False)),
    ("not-received", published(lambda world: world.received(1))),
    ("received", published(lambda world: world.received())),
    ("received-twice", published(both(lambda world: world.received(), lambda world: world.received()))),
    ("received-late", published(lambda world: world.received(), created=time.time() - 7200)),
    ("instance-unfinished", instance(status="pending")),
    ("instance-failed", instance(status="processing_failed")),
    ("fired", enforced()),
    ("action-failed", enforced(action="failed")),
    ("enforcement-failed", enforced(execution_id=None, status="failed", failure_reason="no such action")),
    ("criterion", with_rule(1)),
    ("criterion-missing-key", with_rule(criteria={"trigger\uff0ekinds": {"type": "eq", "pattern": "match"}})),
    ("rule-disabled", with_rule(enabled=False)),
    ("rule-newer", with_rule(_id=made(timedelta(days=1)))),
    ("rule-changed", with_rule()),
    ("rule-backstop", backstop),
    ("rule-other-parameters", other_parameters),
    ("rule-other-type", with_rule(trigger="peer.events")),
    ("no-rule", lambda world: world.received()),
]


@pytest.mark.parametrize(("code", "seed"), ENGINE, ids=[code for code, _ in ENGINE])
def test_a_cause_in_stackstorm_is_named(stackstorm: StackStorm, code: str, seed: Callable[[StackStorm], str]) -> None:
    asked = seed(stackstorm)
    found = is_named(code, stackstorm.why(asked))
    assert found.remedy or found.level == "note"


def test_a_wrong_virtual_host_is_named(stackstorm: StackStorm) -> None:
    found = is_named("broker-unreachable", stackstorm.why(other_host(stackstorm)))
    assert "nowhere" in found.text


def test_why_only_reads(stackstorm: StackStorm) -> None:
    asked = enforced()(stackstorm)
    before = stackstorm.everything()
    stackstorm.why(asked)
    assert stackstorm.everything() == before
    exchange = f"{stackstorm.workspace.prefix}.trigger_instances_dispatch"
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        stackstorm.declares(exchange)


@pytest.mark.parametrize(
    ("collection", "odd"),
    [
        ("rule_d_b", {"pack": 5, "name": "x", "trigger": "peer.event"}),
        ("rule_d_b", {"pack": "p", "name": "x", "trigger": "peer.event", "criteria": [1]}),
        ("trigger_instance_d_b", {"trigger": ["x"]}),
        ("rule_enforcement_d_b", {"trigger_instance_id": 5}),
    ],
)
def test_odd_documents_are_skipped(stackstorm: StackStorm, collection: str, odd: dict[str, Any]) -> None:
    asked = enforced()(stackstorm)
    stackstorm.database[collection].insert_one(odd)
    is_named("fired", stackstorm.why(asked))


# The commands.


def test_the_command_prints_causes_and_answers_soon(embedded: Workspace) -> None:
    world = World(embedded)
    world.waits_for_rule({"trigger.disk": {"type": "gt", "pattern": 90}})
    arguments = ("--config-file", str(embedded.config), "why", "m1")
    began = time.monotonic()
    done = embedded.run("st2sensor", *arguments)
    assert time.monotonic() - began < SOON
    assert done.returncode == 0, done.stderr
    assert "trigger.disk must be greater than 90, but is 85" in done.stdout
    told = json.loads(embedded.run("st2sensor", *arguments, "--json").stdout)
    assert {"waiting-no-container", "criterion"} <= {item["code"] for item in told["findings"]}
    assert told["event"]["sensor"] == "net.DiskSensor"
    assert isotime.parse(told["event"]["created"]).timestamp() == pytest.approx(world.now - 7)
    assert "hunter22" not in json.dumps(told)


def test_a_rule_is_tested_without_servers(folder: Path) -> None:
    workspace = Workspace(folder, database="mongodb://127.0.0.1:1", messaging="amqp://guest:guest@127.0.0.1:1//")
    rule = workspace.add_pack("net") / "rules" / "full.yaml"
    criteria = {"trigger.disk": {"type": "gt", "pattern": 90}}
    rule.write_text(yaml.safe_dump({"name": "full", "enabled": True, "trigger": {"type": TYPE}, "criteria": criteria}))
    seen = {"time": "2026-11-23T17:06:47Z", "trigger": TYPE, "trigger_type": TYPE, "trace_context": None}
    events = [{**seen, "payload": {"disk": disk}, "message_id": None} for disk in (95, 85)]
    for number, event in enumerate(events):
        (folder / f"{number}.jsonl").write_text(json.dumps(event))

    def tested(name: str) -> tuple[int, str]:
        done = workspace.run(
            "st2sensor", "--config-file", str(workspace.config), "rules", "test", str(rule), "--event", name
        )
        return done.returncode, done.stdout + done.stderr

    assert tested("0.jsonl") == (0, "net.full matches 0.jsonl:1\n")
    code, told = tested("1.jsonl")
    assert (code, told) == (
        1,
        "net.full does not match 1.jsonl:1\n  trigger.disk must be greater than 90, but is 85\n",
    )
    assert tested("nothing")[0] == 66


def test_a_rule_is_tested_against_an_event_that_is_kept(embedded: Workspace) -> None:
    world = World(embedded)
    world.waits_for_rule({"trigger.token": {"type": "equals", "pattern": "hunter23"}})
    (rule,) = (embedded.packs / "net" / "rules").iterdir()
    for name in ("m1", "deploy-1"):
        done = embedded.run(
            "st2sensor", "--config-file", str(embedded.config), "rules", "test", str(rule), "--event", name
        )
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.endswith("does not match m1\n  trigger.token must equal ********, but is ********\n")
