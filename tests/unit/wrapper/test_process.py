from __future__ import annotations

import bdb
import os
from typing import Any

import pytest

from st2sensor.wrapper.process import Life


def debugged(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> int:
    """Return the exit code of a sensor whose debugger ends."""

    def quits(_: Life) -> None:
        raise bdb.BdbQuit

    connection: Any = None
    monkeypatch.setattr(Life, "_run", quits)
    monkeypatch.setattr(os, "isatty", lambda _: is_terminal)
    return Life(object, {"ref": "p.S"}, connection, connection).lead()


def test_a_user_who_quits_the_debugger_ends_the_sensor_quietly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert debugged(monkeypatch, is_terminal=True) == 0
    assert not caplog.messages


def test_a_breakpoint_without_a_terminal_names_the_command_that_has_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert debugged(monkeypatch, is_terminal=False) == 1
    assert caplog.messages == [
        "the sensor failed: breakpoint() needs a terminal; run the sensor in one with: st2sensor run p.S"
    ]
    assert "bdb.BdbQuit" in caplog.text
