"""The bundled pack `core`: on where it is asked for, also next to a StackStorm's pack of the same name."""

from __future__ import annotations

from tests.support.servers.waiting import eventually
from tests.support.webhooks import Endpoint
from tests.support.workspace import Workspace


def refs(workspace: Workspace) -> set[str]:
    return {f"{item['pack']}.{item['name']}" for item in workspace.documents("sensor_type_d_b")}


def stackstorms_core(workspace: Workspace) -> None:
    """What a StackStorm has: a pack without sensors, with a virtualenv of another Python."""
    workspace.add_pack("core")
    python = workspace.folder / "virtualenvs" / "core" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)


def test_neither_sensor_is_there_unless_it_is_enabled(embedded: Workspace) -> None:
    embedded.link_pack("linux")
    embedded.reload_well()
    assert refs(embedded) == {"linux.FileWatchSensor"}


def test_enabling_one_registers_it_and_disabling_it_removes_it(embedded: Workspace) -> None:
    stackstorms_core(embedded)
    embedded.configure("[timers]\nenable = true")
    embedded.reload_well()
    assert refs(embedded) == {"core.TimerSensor"}
    types = embedded.documents("trigger_type_d_b")
    embedded.configure("[webhooks]\nenable = true")
    embedded.reload_well()
    assert refs(embedded) == {"core.WebhookSensor"}
    embedded.configure()
    embedded.reload_well()
    assert refs(embedded) == set()
    # They are StackStorm's, too, and stay as they are.
    assert embedded.documents("trigger_type_d_b") == types


def test_it_runs_next_to_a_stackstorms_core_pack_with_the_containers_own_python(embedded: Workspace) -> None:
    stackstorms_core(embedded)
    endpoint = Endpoint(embedded)
    endpoint.ask_for("deploy")
    endpoint.start()
    # As soon as it has read its keys.
    eventually("it takes a post", lambda: endpoint.post("deploy").status == 202)


def test_a_configuration_that_breaks_the_schema_is_refused_with_its_line(embedded: Workspace) -> None:
    Endpoint(embedded, signatures={"deploy": {"scheme": "gitlab", "secret": "hush-hush"}})
    embedded.add_rule("hooks", "deploy", "core.st2.webhook", url="deploy")
    done = embedded.reload()
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "core.yaml" in said
    assert "gitlab" in said
    assert "hush-hush" not in said


def test_changed_signatures_count_at_once_after_a_reload(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded)
    endpoint.ask_for("deploy")
    endpoint.start()
    eventually("it takes a post", lambda: endpoint.post("deploy").status == 202)
    configs = embedded.folder / "configs"
    configs.mkdir()
    (configs / "core.yaml").write_text("signatures: {deploy: {scheme: github, secret: hush-hush}}\n")
    embedded.reload_well()

    def is_refused() -> bool:
        try:
            return endpoint.post("deploy").status == 401
        except ConnectionError:
            # It is being restarted.
            return False

    eventually("signatures are asked for", is_refused)


def test_dispatches_and_cursors_of_the_bundled_sensors_announce_no_keys(embedded: Workspace) -> None:
    embedded.configure("[timers]\nenable = true")
    embedded.add_rule("hooks", "second", "core.st2.IntervalTimer", unit="seconds", delta=1)
    embedded.reload_well()
    seen = embedded.listen()
    embedded.start()
    (trigger,) = (item for item in embedded.documents("trigger_d_b") if item.get("parameters"))
    seen.wait_for(trigger["ref"], 2)
    stored = [item["name"] for item in embedded.documents("key_value_pair_d_b")]
    assert stored == [f"core.TimerSensor:cursor.{trigger['name']}"]
    assert not [message for message in seen.seen if "key_value_pair" in message.trigger]
