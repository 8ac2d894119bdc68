"""What `st2sensor init` makes: it registers, runs, passes its own test, and lints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from st2sensor.cli.declarations.authoring import init
from st2sensor.cli.invocation import invoke
from tests.plugins.patience import LATER
from tests.support.workspace import Workspace, environment

PACKS = {
    "fresh": (["--polling"], "FreshSensor", "file_changed", {"file_path", "size", "modified"}),
    "clock": (["--sensor", "WallClock"], "WallClock", "tick", {"count", "at"}),
    # Names that YAML takes for something else, and that a module has.
    "null": (["--sensor", "Json"], "Json", "tick", {"count", "at"}),
    "1_0": (["--polling", "--sensor", "HTTPWatch2"], "HTTPWatch2", "file_changed", {"file_path", "size", "modified"}),
}


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=LATER,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_it_makes_registers_runs_and_passes_its_own_test(embedded: Workspace) -> None:
    (embedded.folder / "configs").mkdir()
    for pack, (options, *_) in PACKS.items():
        assert invoke(init, [str(embedded.packs / pack), *options], "st2sensor init") == 0
        if pack not in ("fresh", "null"):
            example = (embedded.packs / pack / f"{pack}.yaml.example").read_text()
            (embedded.folder / "configs" / f"{pack}.yaml").write_text(example)
    assert embedded.run("st2sensor", "init", "packs/spare").returncode == 0
    done = embedded.reload()
    assert done.returncode == 0, done.stderr
    # A pack without a configuration runs on the defaults of its schema: that is no reason for a warning.
    assert done.stderr == ""
    assert not re.search("warning|error", done.stdout, re.IGNORECASE)

    listener = embedded.listen()
    container = embedded.start()
    for pack, (_, class_name, trigger, keys) in PACKS.items():
        seen = listener.wait_for(f"{pack}.{trigger}")[0]
        assert set(seen.payload) == keys
        assert f"{pack}.{class_name}" in container.log
    assert container.stop() == 0
    assert not re.search("WARNING|ERROR|dead letter", container.log)

    run(embedded.folder, "ruff", "check", "--isolated", "--no-cache", "packs")
    tests = ["packs/fresh/tests", "packs/1_0/tests", "packs/null/tests"]
    assert "10 passed" in run(embedded.folder, "pytest", "-p", "st2sensor.testing.plugin", *tests)
    assert "2 passed" in run(embedded.packs / "clock", "pytest", "-p", "st2sensor.testing.plugin")
