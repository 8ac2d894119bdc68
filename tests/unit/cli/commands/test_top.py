"""`st2sensor top`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.control_peer import Peer, node, report, run, said


def test_top_is_printed_as_json(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": lambda: [report("p.B", memory=1), report("p.A", memory=2)]})
    shown = json.loads(said(run(config_file, "top", "--once", "--json", "--sort", "memory")))
    assert shown["node"]["name"] == "here"
    assert [sensor["ref"] for sensor in shown["sensors"]] == ["p.A", "p.B"]
    assert run(config_file, "top", "--json").exit_code == 2
