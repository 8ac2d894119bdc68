"""`st2sensor list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from st2sensor.reports import Notice
from tests.support.control_peer import Peer, node, report, run, said

TROUBLED = report("p.B", dead=2, last_invalid=Notice(at=1.0, text="p.t: the payload does not fit: n is no integer"))


def test_a_running_sensor_in_trouble_does_not_look_healthy(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": lambda: [report("p.A"), TROUBLED]})
    shown = said(run(config_file, "list")).splitlines()
    assert shown[-1] == "2 sensors, 1 in trouble"
    assert shown[2].split("  ")[0] == "p.B"
    assert shown[2].endswith("2 dead letters: p.t: the payload does not fit: n is no integer")


def test_in_80_columns_the_message_is_kept(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "p" * 36 + ".B"
    peer({"node": node, "sensors": lambda: [report(long, dead=2, last_invalid=TROUBLED.last_invalid)]})
    (line,) = [line for line in said(run(config_file, "list")).splitlines() if line.startswith(long)]
    assert line.endswith("n is no integer")


def test_json_has_the_troubles(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": lambda: [TROUBLED]})
    (shown,) = json.loads(said(run(config_file, "list", "--json")))
    assert shown["troubles"] == [
        {
            "kind": "dead letters",
            "level": "warning",
            "text": "2 dead letters: p.t: the payload does not fit: n is no integer",
            "since": "1970-01-01T00:00:01.000000Z",
        }
    ]


def test_an_empty_list_says_how_to_fill_it_unless_it_was_filtered(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": list})
    assert said(run(config_file, "list")) == "0 sensors; st2ctl reload --register-all registers the packs\n"
    assert said(run(config_file, "list", "--failing")) == "0 sensors\n"


def test_in_80_columns_the_last_line_names_the_columns_that_are_left_out(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    busy = report("p" * 36 + ".B", memory=2**25, triggered_at=1.0, recent=(1,) * 18, restarts=3, since=1.0)
    peer({"node": node, "sensors": lambda: [busy]})
    for command in (["list"], ["top", "--once"]):
        assert "\nleft out: last trigger, memory, last 3 min; " in said(run(config_file, *command))
