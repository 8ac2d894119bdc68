"""`st2sensor top`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console, Group

from st2sensor.cli.commands import top
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


def test_the_screen_scrolls_and_counts_the_sensors_that_are_not_shown(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer({"node": node, "sensors": lambda: [report(f"p.S{number:02}") for number in range(50)]})
    screens: list[str] = []
    pressed = [["page down"], ["end"], [], ["home", "down"], ["quit"]]

    class Keys:
        can_be_pressed = True

        def wait(self, seconds: float) -> list[str]:  # noqa: ARG002
            return pressed.pop(0)

    class Live:
        def __init__(self, console: Console, **_: object) -> None:
            self.console = console

        def update(self, shown: Group, refresh: bool) -> None:  # noqa: ARG002
            with self.console.capture() as capture:
                self.console.print(shown)
            screens.append(capture.get())

    monkeypatch.setattr(top, "pressed", lambda: nullcontext(Keys()))
    monkeypatch.setattr(top, "Live", lambda **options: nullcontext(Live(**options)))
    monkeypatch.setattr(
        top, "console", lambda: Console(file=io.StringIO(), force_terminal=True, width=80, height=20, color_system=None)
    )
    said(run(config_file, "top", "--sort", "name"))
    shown = [re.findall(r"p\.S(\d\d)", screen) for screen in screens]
    assert [(found[0], found[-1], len(found)) for found in shown] == [
        ("00", "14", 15),
        ("14", "28", 15),
        ("35", "49", 15),
        ("35", "49", 15),
        ("01", "15", 15),
    ]
    assert all(len(screen.splitlines()) <= 20 for screen in screens)
    assert "1 to 15 of 50, 35 not shown: arrows, PgUp, PgDn scroll, q ends" in screens[0]
