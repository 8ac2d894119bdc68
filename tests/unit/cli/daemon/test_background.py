"""The state of the service, as st2ctl prints it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from st2sensor.cli.daemon.state_dir import held
from st2sensor.cli.st2ctl import main


def test_the_state_of_the_container_is_printed_as_json(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = ["--config-file", str(config_file), "status", "--json"]
    assert main(status) == 3
    assert json.loads(capsys.readouterr().out) == {"service": "st2sensorcontainer", "running": False, "pid": None}
    with held(config_file.parent / "state"):
        assert main(status) == 0
    told = {"service": "st2sensorcontainer", "running": True, "pid": os.getpid()}
    assert json.loads(capsys.readouterr().out) == told


def test_a_state_directory_that_cannot_be_written_is_told_with_its_key(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file.write_text(config_file.read_text().replace("state_dir = state", "state_dir = /proc/nowhere"))
    assert main(["--config-file", str(config_file), "start"]) == 78
    assert "[sensorcontainer] state_dir: cannot write to /proc/nowhere: No such file" in capsys.readouterr().err
