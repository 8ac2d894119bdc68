"""`st2sensor logs`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.control_peer import Peer, report, run, said


def test_lines_that_come_while_a_log_is_asked_for_are_shown_once(config_file: Path, peer: Callable[..., Peer]) -> None:
    lines = [{"at": float(number), "level": "INFO", "text": f"line {number}"} for number in (1, 2, 2, 3)]
    events = [{**line, "kind": "line", "sensor": "p.S"} for line in (*lines[2:], {**lines[3], "text": "line 4"})]
    peer({"sensor": lambda ref: report(ref), "logs": lambda ref: lines[:3]}, events=events)  # noqa: ARG005
    printed = said(run(config_file, "logs", "p.S", "-f", "--json"))
    texts = [json.loads(line)["text"] for line in printed.splitlines()]
    assert texts == ["line 1", "line 2", "line 2", "line 3", "line 4"]
