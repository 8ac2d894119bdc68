"""What a registration prints, for people and for programs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from st2sensor import config
from st2sensor.cli.registration import show
from st2sensor.cli.st2ctl import main
from st2sensor.packs.registration.outcome import Outcome, Result
from st2sensor.storage import open_storage
from tests.support.supervised_node import sensor_type


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


def test_without_packs_the_registered_ones_are_named(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = config.load([str(config_file)])
    assert main(["--config-file", str(config_file), "reload"]) == 0
    assert "copy a pack there, or set [content] packs_base_paths" in capsys.readouterr().err
    with closing(open_storage(settings.database)) as storage:
        for number in range(7):
            storage.put(sensor_type(f"p{number}.S"))
    assert main(["--config-file", str(config_file), "reload"]) == 0
    told = capsys.readouterr().err
    assert "but the sensors of p0, p1, p2, p3, p4 and 2 more are still registered: check [system] base_path" in told


def test_an_error_is_json_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reloaded(tmp_path / "nowhere.conf", capsys, code=78)["error"]["type"] == "ConfigError"


def test_changes_are_listed_in_columns_whatever_their_names_look_like(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    long = "p." + "S" * 40
    show(
        [
            Outcome(kind="trigger type", ref="p.[bold]t", result=Result.CREATED),
            Outcome(kind="sensor", ref=long, result=Result.FAILED, message="p/s.yaml:1: it is wrong"),
            Outcome(kind="sensor", ref="p.s\x1b[2J", result=Result.CHANGED),
            Outcome(kind="sensor", ref="p.same", result=Result.UNCHANGED),
        ]
    )
    printed = capsys.readouterr()
    lines = [line.rstrip() for line in printed.out.splitlines()]
    width, escaped = len(long) + 2, r"p.s\x1b[2J"
    assert lines[:5] == [
        f"kind          {'reference':{width}}result",
        f"trigger type  {'p.[bold]t':{width}}created",
        f"sensor        {long:{width}}failed",
        f"sensor        {escaped:{width}}changed",
        "",
    ]
    assert "p.same" not in printed.out
    assert "error: p/s.yaml:1: it is wrong" in printed.err
