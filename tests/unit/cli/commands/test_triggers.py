"""`st2sensor triggers`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.models import Rule, Trigger, TriggerType
from st2sensor.storage import open_storage
from tests.support.control_peer import run, said


def test_rules_without_parameters_are_counted(config_file: Path) -> None:
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        for name in ("count", "idle"):
            storage.put(TriggerType(pack="ops", name=name))
            storage.put(Trigger(pack="ops", name=name, type=f"ops.{name}"))
        rule = Rule(
            pack="ops", name="big", trigger="ops.count", trigger_type="ops.count", parameters={}, metadata_file=""
        )
        storage.put(rule)
    lines = [line.split() for line in said(run(config_file, "triggers")).splitlines()]
    assert ["ops.count", "1", "ops.count"] in lines
    assert ["ops.idle"] in lines
    rows = json.loads(said(run(config_file, "triggers", "--json")))
    assert {row["ref"]: row["asked_by"] for row in rows} == {"ops.count": 1, "ops.idle": 0}


def test_names_are_never_cut_where_no_terminal_limits_the_width(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "core.st2.key_value_pair.value_change"
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        for number in range(2):
            ref = f"p.{number}{'x' * 30}"
            storage.put(Trigger(pack="p", name=ref[2:], type=name, parameters={"n": number}, ref_count=1))
    assert all(f"p.{number}{'x' * 30}" in said(run(config_file, "triggers")) for number in range(2))
    assert name in said(run(config_file, "triggers"))
