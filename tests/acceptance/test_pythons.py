"""The unit tests on every version of CPython that the README names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.plugins.patience import AT_LAST
from tests.support.interpreters import interpreter

ROOT = Path(__file__).parents[2]

FOLDERS = ("container", "delivery", "dispatch", "history", "outbox", "packs", "portable", "sharing", "wrapper")
"""Folders of unit tests whose modules depend most on the interpreter."""


@pytest.mark.soak(minutes=8)
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_unit_tests_pass(version: str, folder: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no CPython {version}: put python{version} on PATH")
    environment = folder / "venv"
    pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [python, "-m", "venv", str(environment)],
        [*pip, "-r", "requirements.txt", "-r", "tests/requirements.txt"],
        [
            *(str(environment / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--numprocesses", "2", *(f"tests/unit/{name}" for name in FOLDERS)),
        ],
    ):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "EXAMPLES": "0.1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=AT_LAST,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
