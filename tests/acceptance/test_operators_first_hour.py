"""What operators are told: of sensors that are back or unregistered, of packs that are gone, of misspelling."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import Any

from st2sensor import config
from st2sensor.models import SensorType
from st2sensor.storage import open_storage
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

QUIET = """
import time

class Quiet(Sensor):
    def run(self):
        log = self.sensor_service.get_logger("sub")
        while True:
            log.debug("quiet")
            time.sleep(0.05)
"""

RECOVERS = """
import os, time

class Recovers(Sensor):
    def run(self):
        if not os.path.exists("mended"):
            raise RuntimeError("not yet")
        while True:
            self.sensor_service.dispatch("p.tick", {})
            time.sleep(0.05)
"""

WAITS = "import time\n\nclass Waits(Sensor):\n    def run(self):\n        time.sleep(1000)\n"


def command(workspace: Workspace, *arguments: str) -> str:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(workspace: Workspace, *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["ref"]: row for row in json.loads(command(workspace, "list", "--json", *arguments))}


def test_a_level_that_an_operator_sets_survives_the_restart_of_its_sensor(embedded: Workspace) -> None:
    embedded.add_sensor("p", "Quiet", QUIET)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("p.Quiet started")
    command(embedded, "log-level", "DEBUG", "--sensor", "p.Quiet")
    container.wait_for_log("quiet")
    command(embedded, "restart", "p.Quiet")
    container.wait_for_log("p.Quiet started", 2)
    eventually("the next process has it, too", lambda: "quiet" in container.log.rpartition("p.Quiet started")[2])


def test_a_sensor_that_dispatches_again_is_not_said_to_fail(embedded: Workspace) -> None:
    embedded.configure("restart_delay = 0.1\nrestart_delay_max = 0.2\nhealthy_after = 100000")
    embedded.add_sensor("p", "Recovers", RECOVERS, trigger_types=[{"name": "tick"}])
    embedded.reload_well()
    embedded.start()
    eventually("it fails", lambda: listed(embedded, "--failing"))
    (embedded.folder / "mended").touch()
    eventually("it is back", lambda: listed(embedded)["p.Recovers"]["failing"] is False)
    row = listed(embedded)["p.Recovers"]
    assert row["state"] == "running"
    assert row["failures"] >= 3
    assert "failing" not in command(embedded, "list")


def test_what_others_unregister_leaves_no_row(embedded: Workspace) -> None:
    embedded.add_sensor("p", "Waits", WAITS)
    refused = embedded.add_sensor("q", "Waits", WAITS)
    refused.write_text("import nothing_of_this_name\n")
    assert embedded.reload().returncode == 1
    assert set(listed(embedded)) == {"p.Waits", "q.Waits"}
    with closing(open_storage(config.load([str(embedded.config)]).database)) as storage:
        storage.remove(SensorType, "p.Waits")
    rows = listed(embedded)
    assert {ref: row["state"] for ref, row in rows.items()} == {"q.Waits": "refused"}
    embedded.start()
    eventually("the container knows", lambda: set(listed(embedded)) == {"q.Waits"})
    done = embedded.run("st2sensor", "--config-file", str(embedded.config), "show", "p.Waits")
    assert "sensor p.Waits is not registered" in done.stderr


def test_a_pack_that_is_gone_from_disk_is_reported_until_it_is_pruned(embedded: Workspace) -> None:
    embedded.add_sensor("p", "Waits", WAITS)
    embedded.add_sensor("q", "Waits", WAITS)
    embedded.reload_well()
    shutil.rmtree(embedded.packs / "q")
    gone = "warning: pack q is not on this host, but these sensors are still registered: q.Waits; put the pack back"
    assert gone in embedded.reload("--register-sensors").stderr
    assert gone not in embedded.reload("--register-pack", "packs/p").stderr
    assert gone not in embedded.reload("--prune").stderr
    assert set(listed(embedded)) == {"p.Waits"}
    # What is only in disorder is not gone.
    (embedded.packs / "p" / "pack.yaml").write_text("name: [\n")
    assert "is not on this host" not in embedded.reload().stderr


def test_every_command_tells_of_misspelt_sections(embedded: Workspace) -> None:
    embedded.configure("[dispatcher]\nx = 1\n[keyvalu]\nenable_encryption = true")
    warning = (
        "warning: " + f"{embedded.config}: section [keyvalu] is not known and has no effect; did you mean keyvalue?"
    )
    for words in (["list"], ["key", "list"], ["triggers"], ["list", "--json"]):
        done = embedded.run("st2sensor", "--config-file", str(embedded.config), *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[0] == warning
        assert "dispatcher" not in done.stderr
    assert warning in embedded.reload().stderr


def test_two_containers_with_the_same_sensors_warn_of_each_other(served: Workspace) -> None:
    served.add_sensor("p", "Waits", WAITS)
    served.reload_well()
    first = served.start()
    first.wait_for_log("p.Waits started")
    other = served.folder / "other.conf"
    other.write_text(served.configuration("", state="other"))
    second = served.start("--config-file", str(other))
    for container, rival, state in ((first, second, "other"), (second, first, "state")):
        container.wait_for_log("another container runs the same sensors of the same database")
        assert f"process {rival.process.pid} on " in container.log
        assert f"with state_dir {served.folder / state};" in container.log
        assert "everything happens twice: p.Waits;" in container.log
