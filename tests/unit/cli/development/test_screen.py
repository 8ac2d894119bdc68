"""The output of `st2sensor dev`."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from st2sensor.cli.development.screen import Screen, highlighted


def plain_screen() -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(Console(file=stream, width=100, highlight=False)), stream


def test_nothing_that_others_wrote_steers_the_terminal() -> None:
    screen, stream = plain_screen()
    payload: Any = {"a": "\x1b[2J\udc80", "b": "[red]"}
    screen.show("trigger", "x\x1b]0;title\x07", highlighted(payload))
    screen.show("info", "", "[bold]\x1b[2J")
    assert "\x1b" not in stream.getvalue()
    assert '"b": "[red]"' in stream.getvalue()
    assert "[bold]\\x1b[2J" in stream.getvalue()
