"""The wrapper is thin: what it imports, and what it says when a person starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.plugins.patience import LATER
from tests.support.workspace import ROOT, complete, environment

WRAPPER = ROOT / "st2sensor" / "wrapper" / "__main__.py"


def imported(*command: str, folder: Path) -> set[str]:
    """Top-level modules that `python -X importtime` lists after those that the interpreter starts with."""
    site = _importtime("-c", "pass", folder=folder)
    return _importtime(*command, folder=folder) - site


def _importtime(*command: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)}


def test_the_wrapper_imports_nothing_outside_the_standard_library(tmp_path: Path) -> None:
    for command in (["-m", "st2sensor.wrapper", "--help"], [str(WRAPPER), "--help"]):
        outside = imported(*command, folder=tmp_path) - set(sys.stdlib_module_names)
        assert outside <= {"st2sensor"}


def test_as_a_script_it_runs_where_st2sensor_is_not_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(WRAPPER), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Runs one sensor. st2sensorcontainer starts this program" in done.stdout
    assert "example:" in done.stdout


def test_alone_it_says_who_starts_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(WRAPPER), "p.S"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "start sensors with st2sensorcontainer --sensor-ref" in done.stderr
    assert "Traceback" not in done.stderr


def code_of(sensor: Path, *library_paths: Path) -> dict[str, object]:
    """The description of the class S, as a container gives it."""
    return {
        "file": str(sensor),
        "class_name": "S",
        "library_paths": [str(path) for path in library_paths],
        "search_paths": [str(sensor.parent)],
        "fallback_paths": [],
        "fallback_version": [0, 0],
        "shadow_stackstorm": False,
    }


def loaded(code: dict[str, object], what: str) -> str:
    """What an expression about the loaded class `S` has as its value."""
    program = f"from st2sensor.wrapper.loading.loader import load_class; S = load_class({code!r}); print({what})"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_class_with_all_methods_is_a_sensor_without_a_base_and_lib_comes_before_everything(tmp_path: Path) -> None:
    sensor, lib = tmp_path / "sensors" / "s.py", tmp_path / "lib"
    methods = ("setup", "run", "cleanup", "add_trigger", "update_trigger", "remove_trigger")
    for folder in (sensor.parent, lib):
        folder.mkdir()
        # One name of ours alone, and one of the standard library.
        for name in ("shared.py", "this.py"):
            (folder / name).write_text(f"PLACE = {folder.name!r}\n")
    text = "import shared, this\nclass S:\n    found = shared.PLACE, this.PLACE\n"
    sensor.write_text(text + "".join(f"    def {name}(self, *_): pass\n" for name in methods))
    assert loaded(code_of(sensor, lib), "S.found") == "('lib', 'lib')"


def test_a_file_saved_twice_within_a_second_runs_as_it_was_last(tmp_path: Path) -> None:
    """Size and second are all that Python compares before it takes compiled code for current."""
    library, sensor = tmp_path / "lib.py", tmp_path / "s.py"
    sensor.write_text(complete("from lib import VALUE\nclass S(Sensor):\n    value = VALUE\n"))
    code = code_of(sensor)

    def saved_and_loaded(*, saved: float, value: int) -> int:
        library.write_text(f"VALUE = {value}\n")
        for file in (library, sensor):
            os.utime(file, (saved, saved))
        return int(loaded(code, "S.value"))

    # Saved later than now, so that the test need not finish within a second.
    soon = time.time() + LATER
    assert [saved_and_loaded(saved=soon, value=value) for value in (1, 2)] == [1, 2]
    assert not list(tmp_path.rglob("*.pyc"))
    assert saved_and_loaded(saved=soon - 2 * LATER, value=3) == 3
    assert list(tmp_path.rglob("lib.*.pyc"))
