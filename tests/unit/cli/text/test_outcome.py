"""The result of a command as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.control_peer import Peer, run, said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["restart", "p.S"], {"ref": "p.S", "restarted": True}),
        (["log-level", "INFO"], {"ref": None, "level": "INFO"}),
        (["dispatch", "p.t"], {"trigger": "p.t", "published": False}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_was_done_is_told_as_json(
    config_file: Path, peer: Callable[..., Peer], arguments: list[str], told: dict[str, Any]
) -> None:
    peer(dict.fromkeys(("restart", "log_level", "dispatch"), lambda **_: None))
    assert json.loads(said(run(config_file, *arguments, "--json"))) == told
