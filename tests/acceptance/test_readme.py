"""The README's examples, pasted as they stand."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.plugins.patience import LATER, SOON
from tests.support.live import live
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Workspace, environment, printed_by

README = (ROOT / "README.md").read_text()


def block(language: str, word: str) -> str:
    """The one block of a language that has a word in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if word in text]
    return str(found)


def printed(after: str) -> list[str]:
    """The output that the README shows below a command, or below a sentence, without what differs from run to run."""
    lines = README.partition(after)[2].splitlines()[1:]
    shown = [line.strip() for line in itertools.takewhile(lambda line: re.match(r"    (?!\$)|$", line), lines)]
    return [steady(line) for line in shown if line]


def steady(line: str) -> str:
    """A line without times, numbers and folders, in single blanks."""
    without = line.replace("disk/sensors/usage_sensor.py, ", "")
    return " ".join(re.sub(r"\d+", "0", re.sub(r"/\S*/st2sensor/", "/", without)).split())


def test_the_first_sensor_is_written_as_described(folder: Path) -> None:
    home = folder / "st2sensor"
    home.mkdir()
    variables = {**environment(), "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "300"}
    assert "$ st2sensor init disk --polling " in README
    assert printed_by(["st2sensor", "init", "disk", "--polling"], cwd=home, env=variables)[0] == 0
    with live(["st2sensor", "dev", "disk"], cwd=home, env=variables) as (running, output):
        wait_for(printed("$ st2sensor dev disk "), output)
        sensors = home / "disk" / "sensors"
        (sensors / "usage_sensor.py").write_text(block("python", "UsageSensor"))
        (sensors / "usage_sensor.yaml").write_text(block("yaml", "UsageSensor"))
        wait_for(printed("The new sensor starts within a second, and is restarted at each save:"), output)
        running.send_signal(signal.SIGINT)
        output.read()
        assert running.wait(SOON) == 0
    code, said = printed_by(["st2sensor", "validate", "disk"], cwd=home, env=variables)
    assert (code, [steady(said)]) == (0, printed("$ st2sensor validate disk "))
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "st2sensor.testing.plugin", "disk"],
        cwd=home,
        env=variables,
        check=True,
        capture_output=True,
        text=True,
        timeout=LATER,
    )
    assert steady(tested.stdout.splitlines()[-1]) == printed("pytest -q disk ")[0]


def test_it_runs_in_the_background_and_is_listed(embedded: Workspace) -> None:
    sensors = embedded.add_pack("disk") / "sensors"
    (sensors / "usage_sensor.yaml").write_text(block("yaml", "UsageSensor"))
    (sensors / "usage_sensor.py").write_text(block("python", "UsageSensor"))
    variables = {**environment(), "ST2_CONF": str(embedded.config)}

    def run(command: str) -> str:
        assert f"    $ {command}" in README
        code, said = printed_by(command.split(), cwd=embedded.folder, env=variables)
        assert code == 0, said
        return said

    run("st2ctl reload --register-all")
    try:
        run("st2ctl start")
        header = printed("$ st2sensor list")[0]
        assert steady(run("st2sensor list").splitlines()[0]) == header
        eventually("it is listed", lambda: re.search(r"^disk.UsageSensor +running .* MB", run("st2sensor list"), re.M))
    finally:
        embedded.run("st2ctl", "--config-file", str(embedded.config), "stop")


def wait_for(wanted: list[str], output: IO[str]) -> None:
    """Read until every line was there; the rest of a line may follow."""
    assert wanted
    left = set(wanted)
    for line in output:
        left -= {item for item in left if steady(line).startswith(item)}
        if not left:
            return
    raise AssertionError(f"never printed: {left}")


def test_the_sensor_runs(workspace: Workspace) -> None:
    sensors = workspace.add_pack("disk") / "sensors"
    (sensors / "usage_sensor.yaml").write_text(block("yaml", "UsageSensor"))
    (sensors / "usage_sensor.py").write_text(block("python", "UsageSensor"))
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    seen = listener.wait_for("disk.usage")[0]
    assert 0 < seen.payload["percent"] <= 100
    assert set(seen.body) == {"trigger", "payload", "trace_context"}


def test_the_readme_is_short_and_where_things_are_is_true() -> None:
    assert len(README.splitlines()) < 150
    for path in re.findall(r"^    (\S+/)\s", README.partition("## Where things are")[2], re.MULTILINE):
        assert (ROOT / path).exists(), path
