"""The output of `st2sensor dev`."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from st2sensor.cli.development.screen import Screen


def plain_screen() -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(Console(file=stream, width=100, highlight=False)), stream


def test_nothing_that_others_wrote_steers_the_terminal() -> None:
    screen, stream = plain_screen()
    payload: Any = {"a": "\x1b[2J\udc80", "b": "[red]"}
    screen.show_event("trigger", "x\x1b]0;title\x07", payload, reason="\x1b[2J", trace_tag="\x1b[2J")
    screen.show_entry("\x1b[2J", "\x1b[2J")
    screen.show("info", "", "[bold]\x1b[2J")
    assert "\x1b" not in stream.getvalue()
    assert '"b": "[red]"' in stream.getvalue()
    assert "[bold]\\x1b[2J" in stream.getvalue()


def test_a_path_that_fits_no_column_is_left_in_one_piece() -> None:
    stream = io.StringIO()
    screen = Screen(Console(file=stream, width=80, highlight=False, force_terminal=True, color_system=None))
    path = f"/home/{'somebody/' * 10}st2.conf"
    screen.show("container", "", f"configured by {path}")
    screen.show("container", "", f"configured by {'x' * 90} and {'some words ' * 10}")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(f"  container  configured by {path}")
    assert all(len(line) <= 80 for line in rest)
