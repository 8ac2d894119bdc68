"""`st2sensor top`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from st2sensor.reports import Check, SharingReport
from tests.support.control_peer import Peer, node, report, run, said


def test_top_is_printed_as_json(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": lambda: [report("p.B", memory=1), report("p.A", memory=2)]})
    shown = json.loads(said(run(config_file, "top", "--once", "--json", "--sort", "memory")))
    assert shown["node"]["name"] == "here"
    assert [sensor["ref"] for sensor in shown["sensors"]] == ["p.A", "p.B"]
    assert run(config_file, "top", "--json").exit_code == 2


@pytest.mark.parametrize("width", [80, 200])
def test_the_screen_shows_the_container_above_its_sensors(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    sharing = SharingReport(
        nodes={"up": 2}, drained=True, sensors=3, held=1, unheld=0, lease_left=5.5, takeovers=0, moves=0, losses=0
    )
    checks = (
        Check(name="broker", ok=False, since=1.0, reason="it is away"),
        Check(name="database", ok=True, since=1.0, reason=""),
    )
    here = node(checks=checks, notes=("look at this",), sharing=sharing, outbox_depth=3, outbox_bytes=2**20)
    peer({"node": lambda: here, "sensors": lambda: [report("p.B"), report("p.A", state="backoff", reason="why not")]})
    shown = said(run(config_file, "top", "--once"))
    assert max(map(len, shown.splitlines())) <= width
    text = " ".join(shown.split())
    assert text.startswith("st2sensor here pid 1, up ")
    assert "holds 1 of 3, drained, 2 nodes up" in text
    assert "outbox 3 (1.0 MB) broker it is away database ok look at this" in text
    assert text.index("p.A") < text.index("p.B"), "sensors that do not run come first"
    assert "why not" in text
