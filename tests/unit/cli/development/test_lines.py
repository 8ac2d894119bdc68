"""The output of `st2sensor dev` for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from st2sensor.cli.development.lines import Lines


def test_each_line_is_json_with_its_time_and_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.make_room(["a long name"])
    lines.say()
    lines.say("\nDeveloping [bold]p[/]\n")
    lines.show("error", "p.S", "it failed", below="Traceback\n", moment=0.0)
    lines.show_event("trigger", "p.t", {"n": 1}, trace_tag="tag")
    lines.show_event("invalid", "p.t", {"n": "x"}, reason="no integer")
    lines.show_entry("p.S:told", "5")
    lines.show_entry("p.S:told", None)
    found: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[1]["time"] == "1970-01-01T00:00:00.000000Z"
    assert all(line.pop("time").endswith("Z") for line in found)
    assert found == [
        {"kind": "note", "name": None, "text": "Developing p"},
        {"kind": "error", "name": "p.S", "text": "it failed", "below": "Traceback\n"},
        {"kind": "trigger", "name": "p.t", "text": "", "payload": {"n": 1}, "trace_tag": "tag"},
        {"kind": "invalid", "name": "p.t", "text": "no integer", "payload": {"n": "x"}, "trace_tag": None},
        {"kind": "datastore", "name": "p.S:told", "value": "5"},
        {"kind": "datastore", "name": "p.S:told", "value": None},
    ]
