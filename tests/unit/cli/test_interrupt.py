"""The meanings of SIGINT, and when they change."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from st2sensor.cli import interrupt, invocation
from st2sensor.cli.invocation import invoke
from st2sensor.cli.st2sensor import root


def other(number: int, frame: FrameType | None) -> None:
    """Handle a signal in another way."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_ends_the_program_and_later_raises_again() -> None:
    interrupt.end()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert interrupt.handle()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not interrupt.handle()


@pytest.mark.parametrize("meaning", [signal.SIG_IGN, other])
def test_another_meaning_stays(meaning: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, meaning)
    interrupt.end()
    assert not interrupt.handle()
    assert signal.getsignal(signal.SIGINT) is meaning


@pytest.mark.parametrize("is_program", [True, False])
def test_it_is_an_exception_while_a_command_runs(is_program: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def find(target: str) -> object:
        seen.append((target.rpartition(":")[2], signal.getsignal(signal.SIGINT)))
        return run

    def run(*arguments: object, **named: object) -> None:  # noqa: ARG001
        seen.append(("run", signal.getsignal(signal.SIGINT)))

    monkeypatch.setattr(invocation, "resolve", find)
    if is_program:
        interrupt.end()
    outside = signal.getsignal(signal.SIGINT)
    assert invoke(root, ["show", "p.S"], "x") == 0
    inside = signal.default_int_handler
    # The first call, which configures the log, is no command.
    assert seen == [("configure", outside), ("run", outside), ("show", outside), ("run", inside)]
    assert signal.getsignal(signal.SIGINT) is outside
