"""Runs schemathesis, which sends generated requests to an API, and compares the answers with its OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.plugins.patience import AT_LAST


def finds_nothing(url: str, folder: Path, parameters: str, *arguments: str) -> str:
    """Fail if schemathesis finds an issue; return its output.

    :param url: of the OpenAPI document.
    :param folder: for its configuration.
    :param parameters: the lines of the configuration.
    :param arguments: further arguments.
    """
    (folder / "schemathesis.toml").write_text(parameters)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", url, "--checks", "all", *arguments),
            *("--no-color", "--warnings", "off"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=AT_LAST,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    return done.stdout
