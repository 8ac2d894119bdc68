"""What operators override, in files that a StackStorm reads, too."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.support.workspace import Workspace

SLEEPS = "import time\n\nclass {}(Sensor):\n    def run(self):\n        time.sleep(1000)\n"

TYPE = {"name": "asked", "parameters_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}


def override(workspace: Workspace, name: str, text: str) -> Path:
    folder = workspace.folder / "overrides"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def enabled(workspace: Workspace) -> dict[str, bool]:
    found = workspace.documents("sensor_type_d_b")
    return {document["ref"]: document["enabled"] for document in found if document["pack"] != "core"}


def test_a_sensor_that_is_disabled_in_stackstorms_form_does_not_run(embedded: Workspace) -> None:
    for pack, name in (("p", "On"), ("p", "Off"), ("q", "Other")):
        embedded.add_sensor(pack, name, SLEEPS.format(name))
    override(embedded, "_global", "sensors: {defaults: {enabled: false}}\n")
    override(embedded, "p", "sensors: {exceptions: {On: {enabled: true}}}\nst2sensor: {defaults: {nice: 1}}\n")
    done = embedded.reload()
    assert (done.returncode, "warning" in done.stderr) == (0, False)
    assert enabled(embedded) == {"p.On": True, "p.Off": False, "q.Other": False}
    container = embedded.start()
    container.wait_for_log("p.On started")
    assert list(container.wrappers()) == ["p.On"]

    override(embedded, "_global", "sensors: {defaults: {enabled: true}}\n")
    override(embedded, "p", "sensors: {exceptions: {On: {enabled: false}}}\n")
    embedded.reload_well()
    assert enabled(embedded) == {"p.On": False, "p.Off": True, "q.Other": True}
    container.wait_for_log("p.On stopped")


def test_warnings_of_a_reload_are_those_of_validate(embedded: Workspace) -> None:
    embedded.add_sensor("p", "S", SLEEPS.format("S"))
    path = override(
        embedded,
        "p",
        "default: {sensors: {enabled: false}}\nsensor: {}\nsensors:\n  defaults:\n    nice: 3\n"
        "  exceptions:\n    Other: {enabled: true}\n",
    )
    done = embedded.reload()
    assert done.returncode == 0
    warnings = [line.removeprefix(f"warning: {path}:") for line in done.stderr.splitlines()]
    assert [warning.partition(" ")[0] for warning in warnings] == ["1:", "2:", "5:", "7:"]
    assert enabled(embedded) == {"p.S": False}
    arguments = ("--config-file", str(embedded.config), "validate", "--json", str(embedded.packs / "p"))
    found = json.loads(embedded.run("st2sensor", *arguments).stdout)
    assert [f"{item['line']}: {item['message']}" for item in found if item["rule"] == "overrides"] == warnings

    # With a sensor that cannot be read it is not known which there are.
    metadata = embedded.packs / "p" / "sensors" / "other.yaml"
    metadata.write_text("class_name: Other\nentry_point: missing.py\n")
    assert "no such sensor" not in embedded.reload().stderr
    assert "no such sensor" not in embedded.run("st2sensor", *arguments).stdout
    metadata.unlink()

    override(embedded, "p", "sensors: {defaults: {enabled: 5}}\n")
    assert "sensors.defaults.enabled: 5 is not of type 'boolean'" in embedded.reload().stderr
    (error,) = [
        item["message"]
        for item in json.loads(embedded.run("st2sensor", *arguments).stdout)
        if item["severity"] == "error"
    ]
    assert error.startswith("sensors.defaults.enabled: 5 is not of type 'boolean'")


def test_a_rule_that_is_disabled_by_overrides_asks_for_nothing(embedded: Workspace) -> None:
    embedded.add_sensor("p", "S", SLEEPS.format("S"), trigger_types=[TYPE])
    for name in ("one", "two"):
        embedded.add_rule("p", name, "p.asked", path=f"/{name}")

    def asked() -> list[str]:
        found = embedded.documents("trigger_d_b")
        return sorted(document["parameters"]["path"] for document in found if document.get("parameters"))

    embedded.reload_well()
    assert asked() == ["/one", "/two"]
    override(embedded, "p", yaml.safe_dump({"rules": {"exceptions": {"two": {"enabled": False}}}}))
    assert "removed" in embedded.reload_well()
    assert asked() == ["/one"]
    override(embedded, "p", "rules: {defaults: {enabled: false}, exceptions: {two: {enabled: true}}}\n")
    embedded.reload_well()
    assert asked() == ["/two"]

    # Of what is wrong with a rule that is off, nobody need know.
    embedded.add_rule("p", "wrong", "p.asked", path=5)
    embedded.reload_well()
    validate = ("st2sensor", "--config-file", str(embedded.config), "validate", str(embedded.packs / "p"))
    assert embedded.run(*validate).returncode == 0
    override(embedded, "p", "")
    assert (embedded.reload().returncode, embedded.run(*validate).returncode) == (1, 1)
