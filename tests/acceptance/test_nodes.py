"""Containers that share sensors, as operators see and steer them."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
import yaml
from click.shell_completion import ShellComplete
from prometheus_client.parser import text_string_to_metric_families

from st2sensor.cli.st2sensor import root
from st2sensor.cli.text.units import span
from tests.plugins.patience import FACTOR, LATER, SOON
from tests.support.browser import Browser
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

SLEEPS = "class {name}(Sensor):\n    def run(self):\n        import time\n        time.sleep(1000)\n"

NAMES = [f"S{number}" for number in range(8)]

REFS = sorted(f"p.{name}" for name in NAMES)

LEASE = math.ceil(min(3 * FACTOR, 10))
"""Seconds: a container that is well renews it in time, on a slow machine too."""


class Node:
    """A container with a state directory and a page of its own, on the database of all."""

    def __init__(self, workspace: Workspace, name: str, labels: str = "") -> None:
        self._workspace = workspace
        self.port = free_port()
        workspace.configure(
            f"sensor_node_name = {name}\npartition_provider = name:shared\nlease = {LEASE}\nlabels = {labels}\n"
            f"http = 127.0.0.1:{self.port}\nresync_interval = 0.5\n"
        )
        text = workspace.config.read_text().replace("state_dir = state", f"state_dir = {name}")
        text = text.replace("connection = sqlite://\n", "connection = sqlite:///state/st2.db\n")
        self.config = workspace.folder / f"{name}.conf"
        self.config.write_text(text)
        self.container: Container | None = None

    def start(self) -> Container:
        self.container = self._workspace.start("--config-file", str(self.config))
        self.container.wait_for_log("shares sensors as")
        return self.container

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._workspace.run("st2sensor", "--config-file", str(self.config), *arguments)

    def told(self, *arguments: str) -> str:
        done = self.ask(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def reports(self) -> dict[str, dict[str, Any]]:
        return {report["ref"]: report for report in json.loads(self.told("list", "--json"))}

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=SOON) as answer:
            text: str = answer.read().decode()
            return text

    def sample(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        families = text_string_to_metric_families(self.page("/metrics"))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
        return float(found)

    def wrappers(self) -> list[str]:
        assert self.container is not None
        return sorted(self.container.wrappers())


def states_and_reasons(node: Node) -> set[tuple[str, str]]:
    return {(report["state"], report["reason"]) for report in node.reports().values()}


def override(workspace: Workspace, **labels: list[str]) -> None:
    """Say which labels sensors need."""
    folder = workspace.folder / "overrides"
    folder.mkdir(exist_ok=True)
    sensors = {name: {"runs_on": needs} for name, needs in labels.items()}
    (folder / "p.yaml").write_text(yaml.safe_dump({"st2sensor": {"exceptions": sensors}}))
    workspace.reload_well()


def prepared(workspace: Workspace) -> tuple[Node, Node]:
    for name in NAMES:
        workspace.add_sensor("p", name, SLEEPS.format(name=name))
    workspace.reload_well()
    return Node(workspace, "a"), Node(workspace, "b", "gpu")


def shared_out(workspace: Workspace) -> tuple[Node, Node]:
    """Two nodes that run, each with its share: sensors that are registered when both are there are not moved."""
    nodes = Node(workspace, "a"), Node(workspace, "b", "gpu")
    for node in nodes:
        node.start()
    prepared(workspace)
    eventually(
        "each has some, and each sensor runs once",
        lambda: all(node.wrappers() for node in nodes) and sorted(nodes[0].wrappers() + nodes[1].wrappers()) == REFS,
    )
    return nodes


def test_while_no_node_is_up_that_is_told_of_all_sensors(workspace: Workspace) -> None:
    one, other = prepared(workspace)
    assert other.told("nodes") == "0 nodes\n" + "no node runs 8 sensors, p.S0, p.S1, p.S2 and 5 more: no node is up\n"
    assert {report["state"] for report in one.reports().values()} == {"down"}


@pytest.mark.parametrize("workspace", ["served", pytest.param("embedded", marks=pytest.mark.soak)], indirect=True)
def test_nodes_are_shown_drained_and_taken_back(workspace: Workspace) -> None:
    one, other = shared_out(workspace)
    shown = json.loads(one.told("nodes", "--json"))
    assert [(node["node"], node["state"], node["labels"]) for node in shown["nodes"]] == [
        ("a", "up", []),
        ("b", "up", ["gpu"]),
    ]
    assert sum(node["sensors"] for node in shown["nodes"]) == shown["sensors"] == 8
    assert shown["unheld"] == []
    assert re.search(
        rf"^b .* up +{len(other.wrappers())} of 8 +1 +gpu +{span(LEASE)} ", one.told("nodes"), re.MULTILINE
    )

    places = {ref: "b" if ref in other.wrappers() else "a" for ref in REFS}
    eventually(
        "the one knows where all run", lambda: {ref: told["node"] for ref, told in one.reports().items()} == places
    )
    reports = one.reports()
    assert {report["state"] for ref, report in reports.items() if ref in other.wrappers()} == {"elsewhere"}
    away = other.wrappers()[0]
    assert reports[away]["reason"] == "node b holds it"
    assert re.search(rf"^{away} +elsewhere +b .* node b holds it$", one.told("list"), re.MULTILINE)
    assert f"b, under fence {reports[away]['fence']} " in one.told("show", away)
    assert f"holds {len(one.wrappers())} of 8, 2 nodes up" in one.told("top", "--once")
    assert "leases ok" in one.told("top", "--once")

    drained = other.ask("drain", "b", "--timeout", f"{SOON:g}")
    assert drained.returncode == 0, drained.stderr
    assert drained.stdout == "b is drained\n"
    assert "b holds" in drained.stderr
    assert json.loads(one.told("nodes", "--json"))["nodes"][1]["sensors"] == 0
    eventually("all run on the other", lambda: (one.wrappers(), other.wrappers()) == (REFS, []))
    assert other.sample("st2sensor_lease_moves_total") > 0
    assert other.sample("st2sensor_nodes", state="drained") == 1
    assert "drained" in other.told("top", "--once")
    assert one.told("undrain", "b") == "b takes sensors again\n"
    assert one.told("undrain", "b") == "b was not drained\n"
    eventually("it has some again", other.wrappers)


def test_a_node_that_is_not_there_is_no_one_to_drain_but_by_force(embedded: Workspace) -> None:
    one, other = prepared(embedded)
    refused = one.ask("drain", "b")
    assert (refused.returncode, refused.stderr) == (
        66,
        "st2sensor: error: no node is called b; no container shares sensors: st2sensor nodes\n",
    )
    assert one.told("drain", "b", "--force") == "b is drained\n"
    one.start()
    eventually("all run", lambda: one.wrappers() == REFS)
    assert one.ask("undrain", "c").stderr == "st2sensor: error: no node is called c; the nodes are: a, b\n"
    assert "drained, but absent: b" in one.told("nodes")
    other.start()
    states = {node["node"]: node["state"] for node in json.loads(one.told("nodes", "--json"))["nodes"]}
    assert states == {"a": "up", "b": "drained"}
    # Nobody is left to take them: they stop, though more than are moved at once.
    drained = one.ask("drain", "a", "--json", "--timeout", f"{SOON:g}")
    assert "warning: no node can take over 8 sensors, p.S0, p.S1, p.S2 and 5 more: all nodes that may run it" in (
        drained.stderr
    )
    assert json.loads(drained.stdout) == {"node": "a", "drained": True, "sensors": 0}
    eventually("none runs", lambda: not one.wrappers())
    told = {("waiting", "all nodes that may run it are drained: a, b")}
    eventually("the other one knows why", lambda: states_and_reasons(other) == told)
    assert other.sample("st2sensor_sensors_unheld") == 8


def test_a_sensor_runs_where_its_labels_are(embedded: Workspace) -> None:
    one, other = shared_out(embedded)
    override(embedded, S0=["a"], S1=["gpu"], S2=["a", "gpu"], S3=["dmz"])
    eventually(
        "they are where they may",
        lambda: (
            "p.S0" in one.wrappers()
            and "p.S1" in other.wrappers()
            and not {"p.S2", "p.S3"} & {*one.wrappers(), *other.wrappers()}
        ),
    )
    override(embedded, S0=["b"], S1=["a"], S2=["a", "gpu"], S3=["dmz"])
    eventually("they change places", lambda: "p.S0" in other.wrappers() and "p.S1" in one.wrappers())
    lines = one.told("nodes").splitlines()
    assert "no node runs 1 sensor, p.S2: no node has the labels a, gpu" in lines
    assert "no node runs 1 sensor, p.S3: no node has the labels dmz" in lines
    eventually("that is the reason", lambda: one.reports()["p.S3"]["reason"] == "no node has the labels dmz")


def test_a_dead_node_is_told_and_its_sensors_are_taken_over(embedded: Workspace) -> None:
    one, other = shared_out(embedded)
    assert other.container is not None
    other.container.process.kill()
    eventually("all run", lambda: one.wrappers() == REFS)
    assert {node["node"]: node["state"] for node in json.loads(one.told("nodes", "--json"))["nodes"]}["b"] == "dead"
    assert one.sample("st2sensor_lease_takeovers_total") > 0
    assert one.sample("st2sensor_nodes", state="dead") == 1
    assert one.sample("st2sensor_sensors_held") == 8
    # Where no container runs, the leases say where sensors are.
    assert {(report["state"], report["node"]) for report in other.reports().values()} == {("elsewhere", "a")}
    assert one.container is not None
    assert one.container.stop() == 0
    assert {report["reason"] for report in one.reports().values()} == {"no node is up"}


def test_a_check_fails_while_leases_cannot_be_renewed(embedded: Workspace) -> None:
    one, _ = prepared(embedded)
    container = one.start()
    eventually("all run", lambda: one.wrappers() == REFS)
    assert eventually("its lease goes on", lambda: one.sample("st2sensor_lease_remaining_seconds")) <= 0.6 * LEASE
    database = embedded.state / "st2.db"
    with subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sqlite3, sys\n"
            f"c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout={SOON})\n"
            "c.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\nsys.stdin.read()",
            str(database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        container.wait_for_log("leases cannot be renewed")
        eventually("its lease is over", lambda: not one.sample("st2sensor_lease_remaining_seconds"))
        (check,) = [check for check in json.loads(one.page("/sensors"))["node"]["checks"] if check["name"] == "leases"]
        holder.kill()
    assert not check["ok"]
    assert re.search(r"leases cannot be renewed: .*; (the sensors stop in|no sensor runs until)", check["reason"])
    eventually("all run again", lambda: one.wrappers() == REFS)
    eventually("they are renewed", lambda: one.sample("st2sensor_leases_renewed") == 1)
    assert one.sample("st2sensor_lease_losses_total") >= 1


@pytest.mark.soak
def test_each_node_answers_for_its_own_events(embedded: Workspace) -> None:
    source = (
        'class Once(Sensor):\n    def setup(self):\n        self.sensor_service.dispatch("p.t", {"password": "no"})\n'
    )
    embedded.add_sensor(
        "p",
        "Once",
        f"{source}\n    def run(self):\n        __import__('time').sleep(1000)\n",
        trigger_types=[{"name": "t"}],
    )
    embedded.reload_well()
    one, other = Node(embedded, "a"), Node(embedded, "b")
    one.start()

    def events(node: Node) -> dict[str, Any]:
        found = json.loads(node.told("events", "--sensor", "p.Once", "--json"))
        return {event["node"]: event for event in found if event["state"] != "waiting"}

    eventually("the first event", lambda: "a" in events(one), LATER)
    other.start()
    one.told("drain", "a")
    eventually("an event of each", lambda: len(events(one)) == 2, LATER)
    assert events(other) == events(one)
    event = events(one)["b"]
    assert event["payload"] == {"password": "********"}
    shown = one.told("event", event["message_id"])
    assert "confirmed by the broker" in shown
    assert "b, fence" in shown


def test_where_sensors_are_not_shared_one_line_says_so(embedded: Workspace) -> None:
    done = embedded.run("st2sensor", "--config-file", str(embedded.config), "nodes")
    assert done.stdout.startswith("sensors are not shared among nodes; to share them, set [sensorcontainer] partition_")
    assert done.stdout.count("\n") == 1


def test_names_of_nodes_are_completed(embedded: Workspace) -> None:
    one, _ = prepared(embedded)
    one.start()
    one.told("drain", "another", "--force")
    completing = ShellComplete(root, {}, "st2sensor", "_ST2SENSOR_COMPLETE")
    for command in ("drain", "undrain"):
        found = completing.get_completions(["--config-file", str(one.config), command], "a")
        assert [item.value for item in found] == ["a", "another"]


def test_the_page_shows_where_sensors_are(embedded: Workspace, browser: Browser) -> None:
    one, other = shared_out(embedded)
    browser.open(f"http://127.0.0.1:{one.port}")
    away = other.wrappers()[0]
    browser.wait_for(f"tr[data-ref='{away}'] .node", "b")
    browser.wait_for("#container", "nodes up: 2")
    browser.click(f"tr[data-ref='{away}']")
    assert "node b holds it" in browser.wait_for("#detail dl", "under fence")
    assert browser.complaints() == []
