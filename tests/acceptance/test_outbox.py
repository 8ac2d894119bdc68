"""No trigger is lost by what fails on this side of the broker: sensors, containers, disks, databases."""

from __future__ import annotations

import json
import pickle
import resource
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest

from st2sensor.outbox.commits import DISK_RETRY
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Outbox as Options
from tests.conftest import missing
from tests.plugins.patience import LATER, SOON
from tests.support.servers import mongodb
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually, grown
from tests.support.streams import Received, Stream, dead_letters, drain
from tests.support.workspace import Workspace


@pytest.fixture
def workspace(folder: Path, rabbit_server: RabbitMQ, mongo_server: MongoDB) -> Iterator[Workspace]:
    found = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("durability", "times"),
    [
        ("full", 2),
        pytest.param("full", 10, marks=pytest.mark.soak(minutes=2)),
        pytest.param("process", 10, marks=pytest.mark.soak(minutes=2)),
    ],
)
def test_the_container_is_killed_again_and_again_in_the_middle_of_a_stream(
    workspace: Workspace, rabbit_server: RabbitMQ, durability: str, times: int
) -> None:
    workspace.configure(f"[outbox]\ndurability = {durability}")
    stream = Stream(workspace, pause=0)
    for _ in range(times):
        container = workspace.start()
        stream.wait_for(200)
        container.process.kill()
        container.process.wait()
    workspace.start()
    stream.wait_for(100)
    stream.end()
    stream.check(rabbit_server)


def test_the_sensor_is_killed_in_the_middle_of_a_stream(workspace: Workspace, rabbit_server: RabbitMQ) -> None:
    workspace.configure("restart_delay = 0.1")
    stream = Stream(workspace, pause=0)
    container = workspace.start()
    for kills in (1, 2):
        stream.wait_for(300)
        container.wrappers()["stream.Stream"].kill()
        container.wait_for_log("ended with signal SIGKILL", kills)
    stream.wait_for(300)
    stream.end()
    stream.check(rabbit_server)


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize("count", [pytest.param(6000, id="for a minute")])
def test_mongodb_is_away_and_a_sensor_dies_meanwhile(folder: Path, rabbit_server: RabbitMQ, count: int) -> None:
    if mongodb.executable() is None:
        missing("no mongod: install tests/requirements.txt, or put a mongod on PATH")
    server = MongoDB(folder)
    server.start()
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging=rabbit_server.url)
    try:
        workspace.configure("restart_delay = 0.1\nresync_interval = 0.5")
        stream = Stream(workspace)
        container = workspace.start()
        stream.wait_for(200)
        server.stop()
        container.wrappers()["stream.Stream"].kill()
        container.wait_for_log("stream.Stream started", 2)
        container.wait_for_log("the sensors known so far keep running")
        stream.wait_for(count)
        # A container that starts now runs what was known at the last run.
        assert container.stop() == 0
        container = workspace.start()
        container.wait_for_log("the sensors of the last run are started")
        stream.wait_for(200)
        server.start()
        container.wait_for_log("the database answers again")
        workspace.add_sensor("late", "Late", "class Late(Sensor):\n    pass\n")
        workspace.reload_well()
        container.wait_for_log("late.Late started")
        stream.end()
        stream.check(rabbit_server)
    finally:
        workspace.close()
        server.stop()


def test_the_disk_is_full_for_a_while(workspace: Workspace, rabbit_server: RabbitMQ) -> None:
    stream = Stream(workspace, pause=0)
    container = workspace.start()
    stream.wait_for(200)
    journal = workspace.state / "outbox.db-wal"
    limits = resource.prlimit(container.process.pid, resource.RLIMIT_FSIZE)
    # The next page of the journal cannot be written: what a full disk does, for one process.
    resource.prlimit(container.process.pid, resource.RLIMIT_FSIZE, (max(journal.stat().st_size, 200_000), limits[1]))
    container.wait_for_log("cannot write the outbox")
    assert "dispatch() waits until it can be written" in container.log
    before = len(stream.accepted())
    # The commit is tried again meanwhile.
    tried = time.monotonic() + 1.2 * DISK_RETRY
    eventually("it was tried again", lambda: time.monotonic() > tried)
    assert len(stream.accepted()) <= before + 1
    resource.prlimit(container.process.pid, resource.RLIMIT_FSIZE, limits)
    container.wait_for_log("can be written again")
    stream.wait_for(200)
    stream.end()
    stream.check(rabbit_server)
    assert container.log.count("cannot write the outbox") == 1


def test_a_damaged_outbox_is_refused_and_set_aside_only_when_asked(
    workspace: Workspace, rabbit_server: RabbitMQ
) -> None:
    stream = Stream(workspace)
    container = workspace.start()
    stream.wait_for(50)
    stream.end()
    stream.check(rabbit_server)
    container.stop()
    (workspace.state / "outbox.db").write_bytes(b"damage" * 10000)

    done = workspace.run("st2sensorcontainer", "--config-file", str(workspace.config))
    assert done.returncode == 74
    assert "outbox.db is damaged: file is not a database" in done.stderr
    assert "--set-aside-damaged-outbox" in done.stderr
    assert "Traceback" not in done.stderr
    container = workspace.start("--set-aside-damaged-outbox")
    container.wait_for_log("stream.Stream started")
    (aside,) = workspace.state.glob("outbox.db.damaged-*")
    assert aside.read_bytes() == b"damage" * 10000


def test_nothing_is_lost_while_there_is_no_queue(workspace: Workspace, rabbit_server: RabbitMQ) -> None:
    workspace.configure("[messaging]\nunrouted = keep")
    stream = Stream(workspace)
    container = workspace.start()
    stream.wait_for(50)
    with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
        queue = f"{workspace.prefix}.trigger_instances_dispatch.rules_engine"
        connection.channel().queue_delete(queue)
    # What the queue held is gone with it, and so is what the broker was just putting into it.
    last = max(stream.accepted())
    container.wait_for_log("no queue for trigger_instance on")
    workspace.declare_queue()
    stream.wait_for(50)
    stream.end()
    expected = {n for n in stream.accepted() if n > last}
    received: set[int] = set()

    def drained() -> bool:
        received.update(drain(rabbit_server, workspace))
        return expected <= received

    eventually("all that was accepted after the queue was deleted", drained)


def test_the_next_broker_of_a_cluster_is_tried(folder: Path, rabbit_server: RabbitMQ) -> None:
    workspace = Workspace(folder, database="sqlite://", messaging=rabbit_server.url)
    workspace.configure(f"[messaging]\ncluster_urls = amqp://127.0.0.1:1//,amqp://127.0.0.1:2//,{rabbit_server.url}")
    try:
        stream = Stream(workspace)
        workspace.start()
        stream.wait_for(50)
        stream.end()
        stream.check(rabbit_server)
    finally:
        workspace.close()


def test_with_routing_key_trigger_a_consumer_binds_to_just_what_it_wants(
    workspace: Workspace, rabbit_server: RabbitMQ
) -> None:
    workspace.configure("[messaging]\nrouting_key = trigger")
    workspace.link_pack("linux")
    watched = workspace.folder / "app.log"
    watched.touch()
    workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(watched))
    stream = Stream(workspace)
    with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
        channel = connection.channel()
        exchange = f"{workspace.prefix}.trigger_instances_dispatch"
        channel.exchange_declare(exchange, "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, "linux.file_watch.line")
        container = workspace.start()
        container.wait_for_log(f"following {watched}")
        with watched.open("a") as file:
            file.write("hello\n")
        for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=SOON):
            assert method is not None
            assert json.loads(body)["payload"]["line"] == "hello"
            break
        channel.cancel()
        stream.wait_for(20)
        stream.end()
        stream.check(rabbit_server)
        assert channel.queue_declare(queue, passive=True).method.message_count == 0


@pytest.mark.soak
def test_a_routing_key_that_the_broker_refuses_holds_back_its_own_triggers_alone(
    folder: Path, rabbit_server: RabbitMQ, mongo_server: MongoDB
) -> None:
    workspace = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url)
    user = f"u{workspace.prefix}"
    exchange = f"{workspace.prefix}.trigger_instances_dispatch"
    rabbit_server.control("add_user", user, "pw")
    rabbit_server.control("set_permissions", user, ".*", ".*", ".*")
    rabbit_server.control("set_topic_permissions", user, exchange, "^stream", ".*")
    try:
        workspace.messaging = rabbit_server.url.replace("guest:guest", f"{user}:pw")
        workspace.configure("[messaging]\nrouting_key = trigger")
        code = """
        import time

        class Denied(Sensor):
            def run(self):
                for n in range(5):
                    self.sensor_service.dispatch("denied.number", {"n": n})
                time.sleep(1000)
        """
        workspace.add_sensor("denied", "Denied", code, trigger_types=[{"name": "number"}])
        stream = Stream(workspace)
        container = workspace.start()
        container.wait_for_log("refuses the routing key denied.number")
        stream.wait_for(50)

        def listed() -> dict[str, Any]:
            done = workspace.run("st2sensor", "--config-file", str(workspace.config), "list", "--json")
            return {sensor["ref"]: sensor["held_back"] for sensor in json.loads(done.stdout)}

        said = "5 triggers wait: the broker refuses the routing key denied.number"
        eventually("it is shown", lambda: listed() == {"denied.Denied": said, "stream.Stream": ""})
        container.stop()
        assert container.log.count("refuses the routing key denied.number") == 1

        # A restart tries it again, and nothing is repeated.
        rabbit_server.control("set_topic_permissions", user, exchange, ".*", ".*")
        container = workspace.start()
        container.wait_for_log("denied.Denied started")
        stream.wait_for(10)
        stream.end()
        received = Received(rabbit_server, workspace)
        eventually("all are there", lambda: received.of("denied.number")[:5] == list(range(5)), LATER)
        eventually("all others are", lambda: set(received.of("stream.number")) >= set(stream.accepted()), LATER)
        numbers = list(dict.fromkeys(received.of("stream.number")))
        assert numbers == sorted(numbers)
        assert len(received.ids) == len(set(received.ids))
    finally:
        workspace.close()
        rabbit_server.control("delete_user", user)


def test_an_outbox_that_is_deleted_under_the_container_comes_back(folder: Path, mongo_server: MongoDB) -> None:
    workspace = Workspace(folder, database=mongo_server.url, messaging="amqp://guest:guest@127.0.0.1:1//")
    try:
        stream = Stream(workspace)
        container = workspace.start()
        stream.wait_for(50)
        for path in [*workspace.state.glob("outbox.db*"), *workspace.state.glob("*.sock")]:
            path.unlink()
        container.wait_for_log("was restored with all")
        container.wait_for_log("control.sock was deleted or replaced while in use; it is being created again")
        container.wait_for_log("wrapper.sock was deleted or replaced while in use; it is being created again")
        stream.wait_for(50)
        # Commands reach it, and a sensor can start.
        done = workspace.run("st2sensor", "--config-file", str(workspace.config), "restart", "stream.Stream")
        assert done.returncode == 0
        stream.wait_for(50)
        stream.end()
        container.stop()
        with closing(sqlite3.connect(workspace.state / "outbox.db")) as connection:
            bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM outbox ORDER BY id")]
        numbers = [body["payload"]["n"] for body in bodies if body["trigger"] == "stream.number"]
        assert [number for number in dict.fromkeys(numbers) if number in stream.accepted()] == stream.accepted()
    finally:
        workspace.close()


GREEDY = 32


@pytest.mark.soak
def test_a_sensor_in_a_tight_loop_does_not_starve_the_others(workspace: Workspace, rabbit_server: RabbitMQ) -> None:
    counts = workspace.folder / "greedy"
    counts.mkdir()
    workspace.add_sensor(
        "greedy",
        "Greedy",
        """
        import threading

        class Greedy(Sensor):
            def run(self):
                def work(number):
                    done = 0
                    with open(f"GREEDY/{number}", "w") as file:
                        while True:
                            self.sensor_service.dispatch("greedy.event", {"x": "x" * 1000})
                            done += 1
                            file.seek(0)
                            file.write(f"{done:9}")
                            file.flush()
                for number in range(32):
                    threading.Thread(target=work, args=[number], daemon=True).start()
                threading.Event().wait()
        """.replace("GREEDY", str(counts)),
        trigger_types=[{"name": "event"}],
    )
    stream = Stream(workspace, pause=0)
    container = workspace.start()
    container.wait_for_log("greedy.Greedy started")

    def rounds() -> float:
        """How often each of the greedy threads has had its turn."""
        return sum(int(path.read_text() or 0) for path in counts.iterdir()) / GREEDY

    eventually("each thread has dispatched", lambda: rounds() >= 1)
    before, accepted = rounds(), len(stream.accepted())
    stream.wait_for(200)
    # It shares commits with 32 threads, and is not behind their queue: where each of them has a turn, so has it.
    turns = len(stream.accepted()) - accepted
    assert rounds() - before < 10 * turns
    container.wrappers()["greedy.Greedy"].kill()
    stream.end()
    assert rabbit_server.is_running


def test_payloads_with_more_than_json_arrive_in_their_documented_form(workspace: Workspace) -> None:
    workspace.add_sensor(
        "types",
        "Types",
        """
        import datetime, decimal, enum, uuid

        class Colour(enum.Enum):
            RED = "red"

        class Types(Sensor):
            def run(self):
                self.sensor_service.dispatch("types.event", {
                    "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
                    "date": datetime.date(2020, 1, 2),
                    "bytes": b"hi", "set": {1}, "decimal": decimal.Decimal("1.50"),
                    "uuid": uuid.UUID(int=1), "enum": Colour.RED, "tuple": (1, 2), "nan": float("nan"),
                    "long": 2**64, "longer": -2**63 - 1,
                    "$st2": "mine", "nested": [{"$st2": "datetime", "value": "x"}],
                })
        """,
        trigger_types=[
            {"name": "event", "payload_schema": {"properties": {"datetime": {"type": "string", "required": True}}}}
        ],
    )
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    (seen,) = listener.wait_for("types.event")
    assert seen.payload == {
        "datetime": "2020-01-02T03:04:05+00:00",
        "date": "2020-01-02",
        "bytes": "aGk=",
        "set": [1],
        "decimal": "1.50",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "enum": "red",
        "tuple": [1, 2],
        "nan": None,
        "long": 2**64,
        "longer": -(2**63) - 1,
        "$st2": "mine",
        "nested": [{"$st2": "datetime", "value": "x"}],
    }


def test_what_a_rules_engine_would_drop_is_sent_in_its_json_form_or_kept_with_the_reason(workspace: Workspace) -> None:
    workspace.configure("[messaging]\nserializer = pickle")
    workspace.add_sensor(
        "types",
        "Types",
        """
        import datetime, decimal

        class Types(Sensor):
            def run(self):
                deep, zone = {}, datetime.timezone.utc
                for _ in range(300):
                    deep = {"a": deep}
                sent = {
                    "bytes": b"hi", "decimal": decimal.Decimal("1.50"), "noon": datetime.time(12, tzinfo=zone),
                    "local": datetime.time(12), "day": datetime.date(2020, 1, 2), "set": {1}, b"key": 1,
                }
                for payload in (
                    sent, {"long": 2**64}, {"text": "\\ud800"}, {"\\ud800": 1}, {"deep": deep},
                    {"large": "x" * 16_000_000}, {"n": 1},
                ):
                    assert self.sensor_service.dispatch("types.event", payload) is None
        """,
        trigger_types=[{"name": "event"}],
    )
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("types.Types finished")

    def arrived() -> list[Any]:
        bodies = [pickle.loads(message.raw) for message in list(listener.seen)]
        return [body["payload"] for body in bodies if body["trigger"] == "types.event"]

    first, last = eventually("two events", lambda: found if len(found := arrived()) == 2 else [])
    assert first == {
        "bytes": "aGk=",
        "decimal": "1.50",
        "noon": "12:00:00+00:00",
        "local": time_of_day(12),
        "day": date(2020, 1, 2),
        "set": {1},
        "a2V5": 1,
    }
    assert last == {"n": 1}
    reasons = sorted(letter["reason"] for letter in dead_letters(workspace))
    engine = "StackStorm cannot store the payload: it "
    assert reasons == sorted(
        [
            engine + "has an integer of more than 64 bits at long",
            engine + "has half of a surrogate pair in the text at text",
            engine + "has half of a surrogate pair in a key",
            engine + "is nested more than 90 levels deep",
            "the payload has 16,000,012 bytes, more than [system] max_payload = 16,000,000",
        ]
    )
    replayed = workspace.run("st2sensor", "--config-file", str(workspace.config), "dead-letters", "replay", "--all")
    assert replayed.returncode == 1
    assert "was not published: StackStorm cannot store the payload: it has an integer" in replayed.stderr
    assert len(dead_letters(workspace)) == 5


def test_dead_letters_are_listed_shown_replayed_and_purged(workspace: Workspace) -> None:
    code = """
    class Wrong(Sensor):
        def run(self):
            for n in ("one", "two"):
                self.sensor_service.dispatch("dead.strict", {"n": n}, trace_tag="t")
            self.sensor_service.dispatch("dead.unknown", {})
    """
    strict = {"name": "strict", "payload_schema": {"properties": {"n": {"type": "integer"}}}}
    workspace.add_sensor("dead", "Wrong", code, trigger_types=[strict])
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("dead.Wrong finished")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return workspace.run("st2sensor", "--config-file", str(workspace.config), "dead-letters", *arguments)

    letters = dead_letters(workspace)
    assert [letter["trigger"] for letter in letters] == ["dead.strict", "dead.strict", "dead.unknown"]
    assert letters[0]["sensor"] == "dead.Wrong"
    assert letters[0]["reason"].endswith("n: is of type string, not integer or null")
    assert "dead.unknown" in command("list").stdout
    shown = json.loads(command("show", "2").stdout)
    assert (shown["payload"], shown["trace_context"]) == ({"n": "two"}, {"id_": None, "trace_tag": "t"})

    done = command("replay", "1")
    assert done.returncode == 1
    assert "dead letter 1 was not published: the payload does not fit" in done.stderr
    strict["payload_schema"] = {"properties": {"n": {"type": "string"}}}
    workspace.add_sensor("dead", "Wrong", code, trigger_types=[strict])
    workspace.reload_well()
    done = command("replay", "1", "2")
    assert done.stdout == "2 published, 0 left\n"
    seen = listener.wait_for("dead.strict", 2)
    assert [message.message_id for message in seen[:2]] == [letter["message_id"] for letter in letters[:2]]
    assert command("show", "77").returncode == 66
    assert command("purge", "--older-than", "1").stdout == "0 deleted\n"
    assert "deleted" in command("purge", "--all").stdout
    assert dead_letters(workspace) == []


POLLS = """
import os
import time

FOLDER = {folder!r}


class Polls(Sensor):
    def run(self):
        number = int(time.time() * 1000)
        with open(os.path.join(FOLDER, "accepted"), "a") as accepted:
            while not os.path.exists(os.path.join(FOLDER, "enough")):
                # Every third event does not fit its schema.
                events = [("polls.event", {{"poll": number, "n": str(n) if n % 3 == 2 else n}}) for n in range({many})]
                self.sensor_service.dispatch_many(events)
                accepted.write(f"{{number}}\\n")
                accepted.flush()
                number += 1
        time.sleep(1000)
"""

MANY = 60


@pytest.mark.parametrize("kills", [pytest.param(20, marks=pytest.mark.soak(minutes=3))])
def test_a_container_that_is_killed_leaves_all_events_of_a_call_or_none(
    folder: Path, mongo_server: MongoDB, kills: int
) -> None:
    workspace = Workspace(folder, database=mongo_server.url, messaging="amqp://guest:guest@127.0.0.1:1//")
    schema = {"properties": {"n": {"type": "integer"}}}
    try:
        workspace.configure("[outbox]\ndead_letters_max_number = 1000000")
        code = POLLS.format(folder=str(folder), many=MANY)
        workspace.add_sensor("polls", "Polls", code, trigger_types=[{"name": "event", "payload_schema": schema}])
        workspace.reload_well()
        path, accepted = folder / "accepted", 0
        for kill in range(kills):
            container = workspace.start()
            grown("accepted", lambda: len(path.read_text().splitlines()) if path.exists() else 0, accepted + 5)
            # The moment of the kill differs: a commit takes some milliseconds.
            time.sleep(kill * 0.0007)
            container.process.kill()
            container.process.wait(SOON)
            accepted = len(path.read_text().splitlines())
        with closing(sqlite3.connect(workspace.state / "outbox.db")) as connection:
            counts: Counter[int] = Counter()
            for table in ("outbox", "dead_letters"):
                query = f"SELECT body FROM {table} WHERE trigger = 'polls.event'"
                counts.update(json.loads(body)["payload"]["poll"] for (body,) in connection.execute(query))
        assert set(counts.values()) == {MANY}
        assert {int(line) for line in path.read_text().splitlines()} <= set(counts)
    finally:
        workspace.close()


def test_what_no_queue_takes_is_kept_shown_and_replayed_once_a_queue_is_bound(
    workspace: Workspace, rabbit_server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "declare_queue", lambda: None)
    stream = Stream(workspace)
    container = workspace.start()
    stream.wait_for(20)
    stream.end()

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return workspace.run("st2sensor", "--config-file", str(workspace.config), *arguments)

    def unrouted() -> list[int]:
        letters = [item for item in dead_letters(workspace) if item["trigger"] == "stream.number"]
        assert {letter["state"] for letter in letters} <= {"unrouted"}
        return [letter["payload"]["n"] for letter in letters]

    expected = stream.accepted()
    eventually("all are kept", lambda: unrouted() == expected)
    (listed,) = json.loads(command("list", "--json").stdout)
    assert listed["unrouted"] == len(expected)
    assert "unrouted" in command("list").stdout
    assert container.log.count("takes the routing key trigger_instance. These triggers") == 1
    assert command("dead-letters", "list", "--state", "dead").stdout.startswith("0 dead letters")
    refused = command("dead-letters", "replay", "--all", "--state", "unrouted")
    assert refused.returncode == 1
    assert "no queue takes it; declare a durable queue" in refused.stderr

    Workspace.declare_queue(workspace)
    done = command("dead-letters", "replay", "--all", "--state", "unrouted")
    assert done.returncode == 0, done.stderr
    assert dead_letters(workspace) == []
    assert drain(rabbit_server, workspace) == expected


def test_a_daemon_delivers_what_a_container_of_one_sensor_left_behind(
    folder: Path, rabbit_server: RabbitMQ, mongo_server: MongoDB
) -> None:
    workspace = Workspace(folder, database=mongo_server.url, messaging="amqp://guest:guest@127.0.0.1:1//")
    try:
        stream = Stream(workspace)
        alone = workspace.start("--sensor-ref=stream.Stream")
        stream.wait_for(50)
        stream.end()
        alone.stop()
        assert "wait in" in alone.log
        workspace.messaging = rabbit_server.url
        workspace.configure()
        container = workspace.start()
        container.wait_for_log("of an earlier container from")
        stream.check(rabbit_server)
    finally:
        workspace.close()


@pytest.mark.parametrize(
    ("backlog", "size"),
    [
        pytest.param(12_000, 3000, marks=pytest.mark.soak, id="a minute's worth"),
        pytest.param(360_000, 200, marks=pytest.mark.soak(minutes=8), id="one hour's worth"),
    ],
)
def test_a_backlog_drains_in_order_with_flat_memory(
    workspace: Workspace, rabbit_server: RabbitMQ, backlog: int, size: int
) -> None:
    workspace.add_sensor("stream", "Idle", "class Idle(Sensor):\n    pass\n", trigger_types=[{"name": "number"}])
    workspace.reload_well()
    committed = threading.Semaphore(0)
    with closing(Outbox(workspace.state / "outbox.db", Options(durability="process"))) as outbox:
        for n in range(backlog):
            body = json.dumps({"trigger": "stream.number", "payload": {"n": n, "x": "x" * size}, "trace_context": None})
            entry = Entry(
                message_id=f"{n:032x}",
                sensor="stream.Idle",
                trigger="stream.number",
                trigger_type="stream.number",
                created=time.time(),
                body=body,
            )
            outbox.submit(entry, lambda _: committed.release())
        for _ in range(backlog):
            committed.acquire()
        assert outbox.depth == backlog

    container = workspace.start()
    container.wait_for_log("connected to")
    process = psutil.Process(container.process.pid)
    received: list[int] = []
    weights: list[int] = []

    def drained() -> int:
        received.extend(drain(rabbit_server, workspace))
        weights.append(process.memory_info().rss)
        return len(received)

    grown("arrived", drained, backlog)
    assert received == list(range(backlog))
    assert max(weights) - weights[0] < 30e6
