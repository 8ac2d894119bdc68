"""docs/migrating.md, followed to the letter where a StackStorm has run: on its documents, its queues, and its service.

A script stands for systemd. What it starts is our container, where our unit is installed, and that really runs; else it
is StackStorm's, of which it makes a mark. rabbitmqctl is the broker's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest

from st2sensor.cli.daemon.background import NOT_RUNNING
from st2sensor.cli.daemon.components import BOOTED
from tests.acceptance.test_guides import Site, follow, run, shell
from tests.support.guides import Command, sections
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT

PAGE = {section.title: section for section in sections("migrating.md")}

LEFT = "st2.sensor.watch.sensor_container-0a1b2c3d4e"
"""A queue that StackStorm's container leaves behind."""

RULE = {
    "name": "watch",
    "pack": "default",
    "ref": "default.watch",
    "uid": "rule:default:watch",
    "type": {"ref": "standard", "parameters": {}},
    "criteria": {},
    "action": {"ref": "core.local", "parameters": {"cmd": "date"}},
    "context": {"user": "stanley"},
    "enabled": True,
    "tags": [],
}
"""As StackStorm stores it, but for its trigger."""

COLLECTIONS = ("sensor_type_d_b", "trigger_type_d_b", "trigger_d_b", "rule_d_b")

OURS = {"core.st2.sensor.silent", "core.st2.sensor.heard"}
"""Trigger types that StackStorm does not have."""

SYSTEMCTL = """\
#!/bin/sh
# Knows one service: st2sensor's where its unit is installed, else StackStorm's.
case "$*" in
    daemon-reload) exit 0 ;;
    *st2sensorcontainer) ;;
    *) echo "no such unit: $*" >&2; exit 5 ;;
esac
if [ -f {units}/st2sensorcontainer.service ]; then
    case "$1" in
        enable | start) exec {st2ctl} start ;;
        disable | stop) exec {st2ctl} stop ;;
    esac
else
    case "$1" in
        enable | start) touch {mark} ;;
        disable | stop) rm -f {mark} ;;
    esac
fi
"""


class Installation(Site):
    """A host on which a StackStorm has run its container until now."""

    def __init__(self, folder: Path, mongo: MongoDB, rabbit: RabbitMQ) -> None:
        super().__init__(folder, database=mongo.url, messaging=rabbit.url, serializer="pickle")
        self.names["/etc/systemd"] = str(folder / "systemd")
        self.unit = folder / "systemd" / "system" / "st2sensorcontainer.service"
        self.mark = folder / "stackstorm-runs"
        self.mark.touch()
        (folder / "conf").symlink_to(ROOT / "conf")
        self._leave_documents()
        self._leave_queues()
        self._make_commands(rabbit)

    def _leave_documents(self) -> None:
        """Of a sensor, its trigger types, and a rule; the registry writes what StackStorm's does."""
        self.watch_a_file()
        self.register()
        with pymongo.MongoClient[dict[str, Any]](self.workspace.database) as client:
            database = client[self.workspace.name]
            for name in database.list_collection_names():
                if name.startswith("st2sensor_"):
                    database[name].drop()
            for name in ("trigger_type_d_b", "trigger_d_b"):
                database[name].delete_many({"ref": {"$in": sorted(OURS)}})
            (trigger,) = database["trigger_d_b"].find({"type": "linux.file_watch.line", "ref_count": 1})
            database["rule_d_b"].insert_one({**RULE, "trigger": trigger["ref"]})

    def _leave_queues(self) -> None:
        prefix = self.workspace.prefix
        self._connection = pika.BlockingConnection(parameters(self.workspace.messaging))
        self._channel = self._connection.channel()
        self._channel.queue_declare(LEFT.replace("st2.", f"{prefix}.", 1), durable=True)
        exchange = f"{prefix}.trigger_instances_dispatch"
        self.queue = f"{exchange}.rules_engine"
        self._channel.exchange_declare(exchange, "topic", durable=True)
        self._channel.queue_declare(self.queue, durable=True)
        self._channel.queue_bind(self.queue, exchange, "#")

    def _make_commands(self, rabbit: RabbitMQ) -> None:
        folder = Path(shell(self)["PATH"].partition(":")[0])
        units, st2ctl = self.unit.parent, folder / "st2ctl"
        scripts = {
            "systemctl": SYSTEMCTL.format(units=units, st2ctl=st2ctl, mark=self.mark),
            "rabbitmqctl": rabbit.control_script(self.workspace.prefix),
        }
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def receives(self) -> bool:
        """Whether something has come for the rules engine."""
        self.stir()
        return self._channel.basic_get(self.queue, auto_ack=True)[0] is not None

    def documents(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By reference, in each collection."""
        return {name: {item["ref"]: item for item in self.workspace.documents(name)} for name in COLLECTIONS}

    def keeps(self, left: dict[str, dict[str, dict[str, Any]]]) -> bool:
        """Whether StackStorm's documents are as it left them, and those of our two trigger types alone are new."""
        added = {name: dict.fromkeys(OURS) if name.startswith("trigger_") else {} for name in COLLECTIONS}
        found = self.documents()
        return all(
            documents.keys() == left[name].keys() | added[name].keys() and documents.items() >= left[name].items()
            for name, documents in found.items()
        )

    def close(self) -> None:
        self._connection.close()
        run("st2ctl stop", self)
        self.workspace.close()


@pytest.fixture
def site(folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Installation]:
    found = Installation(folder, mongo_server, rabbit_server)
    yield found
    found.close()


def follow_section(title: str, site: Installation) -> None:
    section = PAGE[title]
    for step in section.steps:
        assert isinstance(step, Command), step
        follow(section, step, site)


@pytest.mark.soak
@pytest.mark.skipif(BOOTED.exists(), reason="systemd runs here, and st2ctl asks it for what is installed")
def test_the_way_over_side_by_side_and_back_is_as_shown(site: Installation) -> None:
    left = site.documents()
    follow_section("Move over", site)
    assert not site.mark.exists()
    assert site.unit.read_text() == (ROOT / "conf" / "st2sensorcontainer.service").read_text()
    eventually("the rules engine gets triggers", site.receives)
    code, printed = run("rabbitmqctl list_queues name", site)
    assert code == 0
    assert LEFT not in printed
    assert site.keeps(left)

    follow_section("Side by side", site)
    eventually("the rules engine goes on getting them", site.receives)
    assert site.keeps(left)

    follow_section("Go back", site)
    assert run("st2ctl status", site)[0] == NOT_RUNNING
    assert site.mark.exists()
    assert not site.unit.exists()
    assert site.keeps(left)
