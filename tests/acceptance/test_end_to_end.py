"""A sensor end to end, on each set of backends, seen from outside only."""

from __future__ import annotations

import json

import yaml

from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

TICKER = """
class Ticker(PollingSensor):
    def poll(self):
        count = int(self.sensor_service.get_value("count") or 0) + 1
        self.sensor_service.set_value("count", count)
        self.sensor_service.dispatch(trigger="default.tick", payload={"count": count})
"""


def test_each_line_appended_to_a_file_that_a_rule_asks_for_is_on_the_exchange(workspace: Workspace) -> None:
    watched = workspace.folder / "app.log"
    watched.write_text("from before\n")
    workspace.link_pack("linux")
    workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(watched))
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log(f"following {watched}")

    with watched.open("a") as file:
        for number in range(100):
            file.write(f"line {number}\n")
            file.flush()

    (document,) = [item for item in workspace.documents("trigger_d_b") if item["type"] == "linux.file_watch.line"]
    seen = listener.wait_for(document["ref"], 100)
    assert [message.payload["line"] for message in seen] == [f"line {number}" for number in range(100)]
    assert seen[0].payload == {"file_path": str(watched), "file_name": "app.log", "line": "line 0"}
    assert seen[0].exchange == f"{workspace.prefix}.trigger_instances_dispatch"
    assert seen[0].routing_key == "trigger_instance"
    assert len({message.message_id for message in seen}) == 100


def test_a_rule_that_is_added_changed_or_removed_reaches_the_running_sensor(workspace: Workspace) -> None:
    first, second = workspace.folder / "first.log", workspace.folder / "second.log"
    first.touch()
    second.touch()
    workspace.link_pack("linux")
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("linux.FileWatchSensor started")

    rule = workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(first))
    workspace.reload_well()
    container.wait_for_log(f"following {first}")
    workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(second))
    workspace.reload_well()
    container.wait_for_log(f"following {second}")
    (document,) = [item for item in workspace.documents("trigger_d_b") if item["type"] == "linux.file_watch.line"]
    assert document["parameters"] == {"file_path": str(second)}
    with first.open("a") as file:
        file.write("unheard\n")
    with second.open("a") as file:
        file.write("heard\n")
    (seen,) = listener.wait_for(document["ref"])
    assert seen.payload["line"] == "heard"
    assert "unheard" not in [item.payload.get("line") for item in listener.seen]

    rule.unlink()
    workspace.reload_well()
    container.wait_for_log(f"not following {second} any more")
    assert [item for item in workspace.documents("trigger_d_b") if item["type"] == "linux.file_watch.line"] == []
    assert container.log.count("linux.FileWatchSensor started") == 1


def test_a_sensor_put_into_the_default_pack_runs_once_its_reload_is_announced(workspace: Workspace) -> None:
    # Nobody looks unasked.
    workspace.configure("resync_interval = 3600")
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("connected to")
    workspace.add_sensor("default", "Ticker", TICKER, poll_interval=0.1, trigger_types=[{"name": "tick"}])

    workspace.reload_well()
    counts = [message.payload["count"] for message in listener.wait_for("default.tick", 5)]
    assert counts[:5] == [1, 2, 3, 4, 5]
    (value,) = workspace.documents("key_value_pair_d_b")
    assert value["name"] == "default.Ticker:count"


def test_a_reload_restarts_just_the_sensors_whose_code_metadata_or_config_changed(workspace: Workspace) -> None:
    for pack in ("one", "two", "three"):
        workspace.add_sensor(pack, "Ticker", TICKER.replace("default.", f"{pack}."), poll_interval=60)
    workspace.reload_well()
    container = workspace.start()
    refs = {"one.Ticker", "two.Ticker", "three.Ticker"}
    before = eventually("all run", lambda: found if set(found := container.wrappers()) == refs else {})

    (workspace.packs / "one" / "sensors" / "helper.py").write_text("ANSWER = 42\n")
    configs = workspace.folder / "configs"
    configs.mkdir()
    (configs / "two.yaml").write_text("interval: 5\n")
    output = workspace.reload_well()
    assert "one.Ticker" in output
    assert "two.Ticker" in output
    assert "three.Ticker" not in output

    container.wait_for_log(" started, pid", 5)
    after = eventually("all run again", lambda: found if set(found := container.wrappers()) == refs else {})
    assert {ref for ref in refs if after[ref].pid == before[ref].pid} == {"three.Ticker"}


def test_a_second_reload_of_unchanged_content_writes_and_announces_nothing(workspace: Workspace) -> None:
    workspace.link_pack("linux")
    workspace.link_pack("examples")
    workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path="/nowhere")
    workspace.reload_well()
    before = {name: workspace.documents(name) for name in ("sensor_type_d_b", "trigger_type_d_b", "trigger_d_b")}

    output = workspace.reload_well()

    assert not any(word in output for word in (".SampleSensor", "linux.", "core."))
    assert {name: workspace.documents(name) for name in before} == before


def test_a_sensor_whose_metadata_file_is_gone_is_unregistered_and_stopped(workspace: Workspace) -> None:
    workspace.add_sensor("one", "Ticker", TICKER, poll_interval=60)
    workspace.add_sensor("one", "Other", TICKER.replace("Ticker", "Other"), poll_interval=60)
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log(" started, pid", 2)

    (workspace.packs / "one" / "sensors" / "other.yaml").unlink()
    assert "removed" in workspace.reload_well()
    container.wait_for_log("one.Other stopped")
    assert [item["ref"] for item in workspace.documents("sensor_type_d_b")] == ["one.Ticker"]


def test_the_sensors_of_an_absent_pack_stay_registered_unless_pruned(workspace: Workspace) -> None:
    workspace.add_sensor("one", "Ticker", TICKER, poll_interval=60)
    workspace.reload_well()
    (workspace.packs / "one").rename(workspace.folder / "elsewhere")

    workspace.reload_well()
    assert [item["ref"] for item in workspace.documents("sensor_type_d_b")] == ["one.Ticker"]
    workspace.reload_well("--register-all", "--prune")
    assert workspace.documents("sensor_type_d_b") == []


def test_the_bundled_examples_run_and_the_cursor_survives_a_restart(embedded: Workspace) -> None:
    embedded.link_pack("examples")
    (embedded.folder / "overrides").mkdir()
    often = {"st2sensor": {"defaults": {"poll_interval": 0.2}}}
    (embedded.folder / "overrides" / "examples.yaml").write_text(yaml.safe_dump(often))
    embedded.configure(f"stop_timeout = {LATER:g}")
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("examples.fibonacci", 2)
    listener.wait_for("examples.load")
    eventually("all run", lambda: states(embedded) == ["running"] * 3)
    assert container.stop() == 0
    assert container.log.count("cleanup() called") == 3

    before = len(listener.of("examples.fibonacci"))
    embedded.start()
    counts = [message.payload["count"] for message in listener.wait_for("examples.fibonacci", before + 3)]
    # One that was stopped before it had noted it comes again.
    assert list(dict.fromkeys(counts)) == list(range(1, max(counts) + 1))
    assert len(counts) <= max(counts) + 1


def states(workspace: Workspace) -> list[str]:
    """Those that sensors are in."""
    listed = workspace.run("st2sensor", "--config-file", str(workspace.config), "list", "--json")
    return [sensor["state"] for sensor in json.loads(listed.stdout)]


def test_process_spawn_and_process_exit_are_emitted(workspace: Workspace) -> None:
    workspace.add_sensor("one", "Short", "class Short(Sensor):\n    def run(self):\n        pass\n")
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    (spawned,) = listener.wait_for("core.st2.sensor.process_spawn")
    (exited,) = listener.wait_for("core.st2.sensor.process_exit")

    assert set(spawned.payload) == {"id", "timestamp", "pid", "cmd"}
    assert spawned.payload["id"] == "Short"
    assert exited.payload.keys() == {"id", "timestamp", "exit_code"}
    assert exited.payload["exit_code"] == 0
    container.wait_for_log("one.Short finished with exit code 0")
    assert container.wrappers() == {}
