"""What a registration prints."""

from __future__ import annotations

import pytest

from st2sensor.cli.registration import show
from st2sensor.packs.registration.outcome import Outcome, Result


def test_changes_are_listed_in_columns_whatever_their_names_look_like(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    long = "p." + "S" * 40
    show(
        [
            Outcome(kind="trigger type", ref="p.[bold]t", result=Result.CREATED),
            Outcome(kind="sensor", ref=long, result=Result.FAILED, message="p/s.yaml:1: it is wrong"),
            Outcome(kind="sensor", ref="p.s\x1b[2J", result=Result.CHANGED),
            Outcome(kind="sensor", ref="p.same", result=Result.UNCHANGED),
        ]
    )
    printed = capsys.readouterr()
    lines = [line.rstrip() for line in printed.out.splitlines()]
    width, escaped = len(long) + 2, r"p.s\x1b[2J"
    assert lines[:5] == [
        f"kind          {'reference':{width}}result",
        f"trigger type  {'p.[bold]t':{width}}created",
        f"sensor        {long:{width}}failed",
        f"sensor        {escaped:{width}}changed",
        "",
    ]
    assert "p.same" not in printed.out
    assert "error: p/s.yaml:1: it is wrong" in printed.err
