from __future__ import annotations

import logging
from pathlib import Path

import pytest

from st2sensor.wrapper import exits

LIBRARY = "import sys\n\ndef leave(code):\n    sys.exit(code)\n"


def exit_of(folder: Path, statement: str) -> tuple[SystemExit, str]:
    """Return the exit that a sensor raises, and the sensor's file."""
    file = folder / "p" / "sensors" / "s.py"
    file.parent.mkdir(parents=True)
    scope: dict[str, object] = {}
    exec(compile(LIBRARY, str(folder / "library.py"), "exec"), scope)
    with pytest.raises(SystemExit) as caught:
        exec(compile(f"\n\n{statement}\n", str(file), "exec"), scope)
    return caught.value, str(file)


@pytest.mark.parametrize(
    ("statement", "code", "reason"),
    [
        ("exit(-1)", 255, ", with exit code 255; raise an exception that says why"),
        ("sys.exit(3)", 3, ", with exit code 3; raise an exception that says why"),
        ("leave(5)", 5, ", with exit code 5; raise an exception that says why"),
        ("sys.exit('no luck')", 1, ": no luck"),
        ("leave('x' * 1000)", 1, f": {'x' * 200}"),
    ],
)
def test_an_exit_that_is_a_failure_is_told_with_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str, code: int, reason: str
) -> None:
    exit_, file = exit_of(tmp_path, statement)
    assert exits.code_of(exit_, logging.getLogger("p.S"), file) == code
    assert caplog.messages == [f"the sensor failed: it called exit() at {file}:3{reason}"]


@pytest.mark.parametrize("statement", ["exit()", "sys.exit(0)", "leave(None)"])
def test_an_exit_that_is_no_failure_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    exit_, file = exit_of(tmp_path, statement)
    assert exits.code_of(exit_, logging.getLogger("p.S"), file) == 0
    assert caplog.messages == []


def test_an_exit_from_nowhere_in_the_pack_is_told_without_a_place(caplog: pytest.LogCaptureFixture) -> None:
    assert exits.code_of(SystemExit(2), logging.getLogger("p.S"), "/packs/p/sensors/s.py") == 2
    assert "it called exit(), with exit code 2" in caplog.text
