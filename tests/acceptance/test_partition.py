"""Sensors shared out among containers, as StackStorm's operators do it."""

from __future__ import annotations

import pytest

from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

SLEEPS = """
import time

class {name}(Sensor):
    def run(self):
        time.sleep(1000)
"""

NAMES = [f"S{number}" for number in range(12)]


def node(workspace: Workspace, name: str, provider: str) -> Container:
    """Start a container with a state directory and a part of the sensors of its own."""
    workspace.configure(f"resync_interval = 0.5\nsensor_node_name = {name}\npartition_provider = {provider}")
    text = workspace.config.read_text().replace("state_dir = state", f"state_dir = {name}")
    text = text.replace("connection = sqlite://\n", "connection = sqlite:///state/st2.db\n")
    (workspace.folder / f"{name}.conf").write_text(text)
    return workspace.start("--config-file", str(workspace.folder / f"{name}.conf"))


def add_sensors(workspace: Workspace, count: int) -> None:
    for name in NAMES[:count]:
        workspace.add_sensor("p", name, SLEEPS.format(name=name))
    workspace.reload_well()


@pytest.mark.soak
def test_hash_ranges_give_each_sensor_to_one_container(served: Workspace) -> None:
    add_sensors(served, len(NAMES))
    ranges = ("MIN..1500000000", "1500000000..3000000000", "3000000000..MAX")
    containers = [node(served, f"node{number}", f"name:hash, hash_ranges:{span}") for number, span in enumerate(ranges)]

    def shared_out() -> bool:
        running = [ref for container in containers for ref in container.wrappers()]
        return sorted(running) == sorted(f"p.{name}" for name in NAMES)

    eventually("each sensor runs once", shared_out)
    assert all(container.wrappers() for container in containers)


def test_what_the_datastore_says_is_followed_also_when_it_changes(served: Workspace) -> None:
    add_sensors(served, 4)
    container = node(served, "one", "name:kvstore")
    container.wait_for_log(
        "run: st2sensor key set one.sensor_partition PACK.CLASS,PACK.CLASS; until then no sensor runs"
    )
    for refs in ("p.S1,p.S2", "p.S2,p.S3"):
        done = served.run("st2sensor", "--config-file", str(served.config), "key", "set", "one.sensor_partition", refs)
        assert done.returncode == 0, done.stderr
        wanted = refs.split(",")
        eventually("they run", lambda: sorted(container.wrappers()) == wanted)  # noqa: B023 (used up in this round)
    assert container.log.count("S2 started") == 1
    assert container.stop() == 0


def test_a_file_is_followed_and_a_named_sensor_runs_anywhere(embedded: Workspace) -> None:
    add_sensors(embedded, 6)
    path = embedded.folder / "partitions.yaml"
    path.write_text("one: [p.S1]\n")
    container = node(embedded, "one", "name:file, partition_file:partitions.yaml")
    eventually("it runs", lambda: list(container.wrappers()) == ["p.S1"])
    path.write_text("one: [p.S2]\n")
    eventually("the other runs", lambda: list(container.wrappers()) == ["p.S2"])
    path.write_text("two: []\n")
    container.wait_for_log("does not list the sensors of one; add one: [PACK.CLASS, ...]; until then nothing changes")
    assert list(container.wrappers()) == ["p.S2"]
    alone = embedded.start("--sensor-ref", "p.S5")
    eventually("it runs", lambda: list(alone.wrappers()) == ["p.S5"])


def test_a_provider_that_there_is_not_is_one_line_and_an_exit_code(embedded: Workspace) -> None:
    container = node(embedded, "one", "name:shard")
    assert container.process.wait(SOON) == 78
    assert "this provider does not exist; use one of default, shared, kvstore, file, hash" in container.log
    assert "Traceback" not in container.log
