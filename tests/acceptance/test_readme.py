"""The README's examples, pasted as they stand."""

from __future__ import annotations

import re

from tests.workspace import ROOT, Workspace

README = (ROOT / "README.md").read_text()


def block(language: str, word: str) -> str:
    """The one block of a language that has a word in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if word in text]
    return str(found)


def test_the_sensor_runs(workspace: Workspace) -> None:
    sensors = workspace.add_pack("default") / "sensors"
    (sensors / "disk_sensor.yaml").write_text(block("yaml", "DiskSensor"))
    (sensors / "disk_sensor.py").write_text(block("python", "DiskSensor"))
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    (seen,) = listener.wait_for("default.disk_usage")
    assert 0 < seen.payload["percent"] <= 100
    assert set(seen.body) == {"trigger", "payload", "trace_context"}


def test_the_rule_asks_the_linux_sensor(embedded: Workspace) -> None:
    embedded.link_pack("linux")
    (embedded.add_pack("default") / "rules" / "watch.yaml").write_text(block("yaml", "watch_syslog"))
    embedded.reload_well()
    embedded.start().wait_for_log("following /var/log/syslog")


def test_the_readme_is_short_and_where_things_are_is_true() -> None:
    assert len(README.splitlines()) < 150
    for path in re.findall(r"^    (\S+/)\s", README.partition("## Where things are")[2], re.MULTILINE):
        assert (ROOT / path).exists(), path
