"""One class in many instances, each with a configuration of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.plugins.patience import AT_LAST, FACTOR, SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

SENSOR = """
import os, time

class S(Sensor):
    def run(self):
        service = self.sensor_service
        service.set_value("place", self.config["place"])
        service.dispatch("p.here", {"place": self.config["place"], "depth": self.config["deep"]})
        time.sleep(1000)

    def cleanup(self):
        while os.path.exists(os.path.join(os.path.dirname(__file__), "..", "hold")):
            time.sleep(0.05)

    def add_trigger(self, trigger):
        print("asked for", trigger["parameters"].get("path"))
"""

TYPES = [
    {"name": "here"},
    {"name": "asked", "parameters_schema": {"type": "object", "properties": {"path": {"type": "string"}}}},
]

SCHEMA = """
place: {type: string, required: true}
deep:
  type: object
  properties: {a: {type: integer}, b: {type: integer, default: 7}}
"""

GOOD = {
    "p.S": {
        "one": {"config": {"place": "here", "deep": {"a": 2}}},
        "two": {"config": {"place": "there"}, "triggers": {"p.asked": {"path": "/var/*"}}},
        "off": {"config": {"place": "nowhere"}, "enabled": False},
    }
}

REPLACED = {
    "p.S": {
        "one": {"config": {"place": "here", "deep": {"a": 2}}},
        "two": {"config": {"place": "elsewhere"}, "triggers": {"p.asked": {"path": "/var/*"}}},
    }
}


def write(workspace: Workspace, instances: Mapping[str, Any], pack: str = "p") -> Path:
    folder = workspace.folder / "instances"
    folder.mkdir(exist_ok=True)
    path = folder / f"{pack}.yaml"
    path.write_text(yaml.safe_dump(instances, sort_keys=False))
    return path


def make(workspace: Workspace, code: str = SENSOR, config: str = "deep: {a: 1, b: 5}\n") -> None:
    workspace.add_sensor("p", "S", code, trigger_types=TYPES)
    (workspace.packs / "p" / "config.schema.yaml").write_text(SCHEMA)
    (workspace.folder / "configs").mkdir(exist_ok=True)
    (workspace.folder / "configs" / "p.yaml").write_text(config)


def command(workspace: Workspace, *words: str) -> str:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ids(container: Container) -> dict[str, int]:
    return {ref: process.pid for ref, process in container.wrappers().items()}


def states(workspace: Workspace) -> dict[str, str]:
    return {item["ref"]: item["state"] for item in json.loads(command(workspace, "list", "--json"))}


def test_a_class_runs_in_instances_that_are_sensors_of_their_own(workspace: Workspace) -> None:
    make(workspace)
    write(workspace, GOOD)
    workspace.add_rule("p", "log", "p.asked", path="/var/log")
    workspace.add_rule("p", "tmp", "p.asked", path="/tmp")
    listener = workspace.listen()
    workspace.reload_well()
    # StackStorm's collection knows the class alone.
    assert [item["ref"] for item in workspace.documents("sensor_type_d_b") if item["pack"] == "p"] == ["p.S"]
    container = workspace.start()
    # The pack's configuration has no place of its own, which its schema requires.
    seen = {item.headers["st2sensor-sensor"]: item.payload for item in listener.wait_for("p.here", 2)}
    assert seen == {
        "p.S@one": {"place": "here", "depth": {"a": 2, "b": 5}},
        "p.S@two": {"place": "there", "depth": {"a": 1, "b": 5}},
    }
    assert states(workspace) == {"p.S@off": "disabled", "p.S@one": "running", "p.S@two": "running"}
    before = ids(container)
    assert set(before) == {"p.S@one", "p.S@two"}
    keys = {item["name"]: item["value"] for item in json.loads(command(workspace, "key", "list", "--json"))}
    assert {name: value for name, value in keys.items() if name.startswith("p.S")} == {
        "p.S@one:place": "here",
        "p.S@two:place": "there",
    }
    container.wait_for_log("asked for /var/log", 2)
    container.wait_for_log("asked for /tmp")
    asked = [line for line in container.log.splitlines() if "asked for /tmp" in line]
    assert len(asked) == 1
    assert "p.S@one" in asked[0]

    # A change to one restarts one; one that is gone stops.
    write(workspace, REPLACED)
    told = " ".join(workspace.reload_well().split())
    assert "p.S@two changed" in told
    assert "p.S@off removed" in told
    assert "p.S@one" not in told
    places = [item.payload["place"] for item in listener.wait_for("p.here", 3)]
    assert sorted(places) == ["elsewhere", "here", "there"]
    assert ids(container)["p.S@one"] == before["p.S@one"]
    assert list(states(workspace)) == ["p.S@one", "p.S@two"]
    assert " unchanged" in workspace.reload_well()

    command(workspace, "disable", "p.S@one")
    container.wait_for_log("p.S@one stopped")
    assert states(workspace)["p.S@one"] == "disabled"
    workspace.reload_well()
    assert states(workspace)["p.S@one"] == "disabled"
    command(workspace, "enable", "p.S@one")
    container.wait_for_log("p.S@one started", 2)
    assert json.loads(command(workspace, "show", "p.S@one", "--json"))["ref"] == "p.S@one"
    command(workspace, "restart", "S@two")
    container.wait_for_log("p.S@two started", 3)
    assert "asked for" in command(workspace, "logs", "p.S@two")

    # The class itself is no sensor now.
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "show", "p.S")
    assert done.returncode == 66
    assert "p.S runs as p.S@one, p.S@two; name one of its instances" in done.stderr


def test_the_class_runs_next_to_its_instances_if_they_include_the_default(embedded: Workspace) -> None:
    make(embedded, config="place: bare\n")
    listener = embedded.listen()
    embedded.reload_well()
    container = embedded.start()
    listener.wait_for("p.here")
    write(embedded, {"p.S": {"default": {}, "one": {"config": {"place": "one"}}}})
    embedded.reload_well()
    listener.wait_for("p.here", 2)
    eventually("both run", lambda: set(states(embedded).values()) == {"running"} and len(ids(container)) == 2, SOON)
    assert sorted(ids(container)) == ["p.S", "p.S@one"]
    # Without the file, the class runs alone again.
    (embedded.folder / "instances" / "p.yaml").unlink()
    embedded.reload_well()
    container.wait_for_log("p.S@one stopped")
    eventually("the class runs", lambda: states(embedded) == {"p.S": "running"}, SOON)


def test_an_instance_with_a_mistake_keeps_its_last_content_and_the_others_go_on(embedded: Workspace) -> None:
    make(embedded)
    write(embedded, REPLACED)
    embedded.reload_well()
    container = embedded.start()
    eventually("both run", lambda: len(ids(container)) == 2, SOON)
    before = ids(container)
    path = write(embedded, {"p.S": REPLACED["p.S"] | {"one": {"config": {"place": 7}}, "new": {"polls": 3}}})
    done = embedded.reload()
    assert done.returncode == 1
    assert f"{path}:4: p.S.one.config: place: 7 is not of type 'string'" in done.stderr
    assert "p.S.new.polls is not known" in done.stderr
    assert ids(container) == before
    assert states(embedded) == {"p.S@new": "refused", "p.S@one": "running", "p.S@two": "running"}
    words = ("--config-file", str(embedded.config), "validate", "--json", str(embedded.packs / "p"))
    found = [item for item in json.loads(embedded.run("st2sensor", *words).stdout) if item["rule"] == "instances"]
    assert [item["line"] for item in found] == [4, 12]

    path.write_text("p.S: {")
    assert "malformed YAML" in embedded.reload().stderr
    assert ids(container) == before


def test_keys_move_to_an_instance(embedded: Workspace) -> None:
    make(embedded, config="place: bare\n")
    embedded.reload_well()
    container = embedded.start()

    def keys() -> dict[str, str]:
        found = json.loads(command(embedded, "key", "list", "--prefix", "p.S", "--json"))
        return {item["name"]: item["value"] for item in found}

    eventually("a key is there", lambda: keys() == {"p.S:place": "bare"}, SOON)
    move = ("--config-file", str(embedded.config), "key", "move", "p.S", "p.S@one")
    done = embedded.run("st2sensor", *move)
    assert done.returncode != 0
    assert "p.S is running, and may use its keys; st2sensor disable p.S stops it" in done.stderr
    hold = embedded.packs / "p" / "hold"
    hold.touch()
    command(embedded, "disable", "p.S")
    with ThreadPoolExecutor() as pool:
        moved = pool.submit(command, embedded, *move[2:])
        container.wait_for_log("p.S is stopping")
        hold.unlink()
        assert "1 key of p.S is now p.S@one's" in moved.result()
    assert keys() == {"p.S@one:place": "bare"}


def test_one_instance_runs_alone(embedded: Workspace) -> None:
    make(embedded)
    write(embedded, REPLACED)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start("--sensor-ref", "p.S@two")
    (seen,) = listener.wait_for("p.here")
    assert seen.headers["st2sensor-sensor"] == "p.S@two"
    assert list(ids(container)) == ["p.S@two"]


MANY = 1000


@pytest.mark.soak
def test_a_reload_with_a_thousand_instances_is_quick_and_restarts_only_what_changed(served: Workspace) -> None:
    make(served)
    listed = {f"i{number}": {"config": {"place": f"place {number}"}} for number in range(MANY)}
    write(served, {"p.S": {name: {**values, "enabled": int(name[1:]) < 40} for name, values in listed.items()}})
    listener = served.listen()
    began = time.monotonic()
    served.reload_well()
    first = time.monotonic() - began
    container = served.start()
    seen = listener.wait_for("p.here", 40, AT_LAST)
    assert {(item.headers["st2sensor-sensor"], item.payload["place"]) for item in seen} == {
        (f"p.S@i{number}", f"place {number}") for number in range(40)
    }
    before = ids(container)
    listed["i7"]["config"]["place"] = "another place"
    write(served, {"p.S": {name: {**values, "enabled": int(name[1:]) < 40} for name, values in listed.items()}})
    began = time.monotonic()
    told = " ".join(served.reload_well().split())
    second = time.monotonic() - began
    print(f"{MANY} instances: {first:.1f} s to register, {second:.1f} s to register again")
    assert "p.S@i7 changed" in told
    assert max(first, second) <= 5 * FACTOR
    last = listener.wait_for("p.here", 41, AT_LAST)[-1]
    assert (last.headers["st2sensor-sensor"], last.payload["place"]) == ("p.S@i7", "another place")
    after = ids(container)
    assert {ref for ref in before if after[ref] != before[ref]} == {"p.S@i7"}


def private(process: psutil.Process) -> int:
    """Return the bytes that only this process has."""
    return int(process.memory_full_info().uss)


@pytest.mark.soak
def test_an_instance_costs_no_more_than_another_process_of_its_class(embedded: Workspace) -> None:
    make(embedded, config="place: bare\n")
    twins: Callable[[str], str] = lambda name: SENSOR.replace("class S(", f"class {name}(")  # noqa: E731
    for number in range(10):
        embedded.add_sensor("p", f"T{number}", twins(f"T{number}"))
    write(embedded, {"p.S": {f"i{number}": {} for number in range(10)}})
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log(" started", 20)
    eventually("all are set up", lambda: set(states(embedded).values()) == {"running"}, SOON)
    sizes = {ref: private(process) for ref, process in container.wrappers().items()}
    mean = {kind: sum(size for ref, size in sizes.items() if kind in ref) / 10 for kind in ("@", ".T")}
    print({kind: round(size / 2**20, 2) for kind, size in mean.items()}, "MB of private memory")
    assert mean["@"] <= mean[".T"] + 0.1 * 2**20
