"""Points in time as people write them."""

from __future__ import annotations

import time

import click
import pytest

from st2sensor.cli.text import moments
from st2sensor.cli.text.moments import moment_of

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments.time, "time", lambda: NOW)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10 min", 600),
        ("2h", 7200),
        ("7d", 604800),
        ("1.5h ago", 5400),
        ("9999999999999d", NOW),
    ],
)
def test_a_time_ago(text: str, seconds: float) -> None:
    assert moment_of("--since", text) == NOW - seconds


@pytest.mark.parametrize(
    ("text", "at"),
    [("2026-11-27T14:30:00Z", 1795789800.0), ("2026-11-27T14:30:00+02:00", 1795782600.0)],
)
def test_a_time_with_a_zone(text: str, at: float) -> None:
    assert moment_of("--since", text) == at


def test_a_time_of_today() -> None:
    found = moment_of("--since", "9:30")
    assert found is not None
    assert time.strftime("%H:%M:%S", time.localtime(found)) == "09:30:00"
    assert time.strftime("%Y-%m-%d", time.localtime(found)) == time.strftime("%Y-%m-%d")


def test_none_is_no_time() -> None:
    assert moment_of("--since", None) is None


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10x", "25:00", "-1h"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        moment_of("--since", text)
