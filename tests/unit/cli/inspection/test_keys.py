"""Single keys, read from a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import sys
import termios
from collections.abc import Iterator

import pytest

from st2sensor.cli.inspection.keys import Keys, names_of, pressed
from tests.plugins.patience import SOON


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; returns the end at which a person types."""
    person, terminal = pty.openpty()
    with os.fdopen(terminal) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield person
    os.close(person)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\x1b[A\x1b[Bjk", ["up", "down", "down", "up"]),
        (b"\x1b[5~\x1b[6~", ["page up", "page down"]),
        (b"\x1b[Hx\x1b[F", ["home", "end"]),
        (b"\x1b", []),
        (b"\xff?", []),
    ],
)
def test_keys_have_names(data: bytes, names: list[str]) -> None:
    assert names_of(data) == names


def test_a_key_arrives_without_enter_and_the_terminal_is_as_before(terminal: int) -> None:
    before = termios.tcgetattr(sys.stdin.fileno())
    with pressed() as keys:
        assert keys.can_be_pressed
        os.write(terminal, b"x\x1b[6~")
        assert keys.wait(SOON) == ["page down"]
        assert keys.wait(0.0) == []
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pressed() as keys:
            assert not keys.can_be_pressed
            assert keys.wait(0.0) == []


def test_a_terminal_that_is_gone_ends_the_view() -> None:
    receiver, sender = os.pipe()
    os.close(sender)
    keys = Keys(receiver)
    assert keys.wait(SOON) == ["quit"]
    assert not keys.can_be_pressed
    os.close(receiver)
