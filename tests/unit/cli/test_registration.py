"""What `st2ctl reload` prints for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from st2sensor.cli.st2ctl import main


def reloaded(config_file: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["--config-file", str(config_file), "reload", "--json", *arguments]) == code
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_results_are_printed_as_json(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = config_file.parent / "p"
    (pack / "triggers").mkdir(parents=True)
    (pack / "pack.yaml").write_text("name: p\nversion: 1.0.0\n")
    (pack / "triggers" / "a.yaml").write_text("name: a\npayload_schema: {type: object}\n")
    (pack / "triggers" / "b.yaml").write_text("nam: b\n")
    told = reloaded(config_file, capsys, "--register-pack", str(pack), code=1)
    assert {"kind": "trigger type", "ref": "p.a", "result": "created", "message": None} in told["items"]
    (failed,) = [item for item in told["items"] if item["result"] == "failed"]
    assert str(pack / "triggers" / "b.yaml") in failed["message"]
    assert sum(counts.get("failed", 0) for counts in told["counts"].values()) == 1
    (pack / "triggers" / "b.yaml").unlink()
    told = reloaded(config_file, capsys, "--register-pack", str(pack))
    assert "p.a" not in {item["ref"] for item in told["items"]}
    told = reloaded(config_file, capsys, "--register-pack", str(pack), "--verbose")
    assert {"kind": "trigger type", "ref": "p.a", "result": "unchanged", "message": None} in told["items"]


def test_an_error_is_json_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reloaded(tmp_path / "nowhere.conf", capsys, code=78)["error"]["type"] == "ConfigError"
