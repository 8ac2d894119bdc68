"""The pool whose threads are all started at once."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from st2sensor.system import threads as module
from st2sensor.system.threads import Threads
from tests.plugins.patience import SOON


def test_calls_are_made_and_their_errors_are_raised() -> None:
    threads = Threads(2, "t")
    assert threads.submit(sum, [1, 2]).result(SOON) == 3
    with pytest.raises(SystemExit):
        threads.submit(lambda: exec("raise SystemExit")).result(SOON)
    assert [threads.submit(int, "7").result(SOON) for _ in range(10)] == [7] * 10
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(int)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Large:
    """Stands for a large argument of a call."""


@pytest.mark.usefixtures("no_collector")
def test_an_error_keeps_nothing_in_memory_once_it_was_raised() -> None:
    def refuse(_: Large) -> None:
        raise LookupError

    threads, argument = Threads(1, "t"), Large()
    gone = weakref.ref(argument)
    with pytest.raises(LookupError):
        threads.submit(refuse, argument).result(SOON)
    del argument
    # The thread drops the call before it takes the next one.
    assert threads.submit(int).result(SOON) == 0
    assert gone() is None
    threads.shutdown()


def test_it_goes_on_when_no_more_threads_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(1, "t")

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [threads.submit(int, number).result(SOON) for number in range(10)] == list(range(10))
    threads.shutdown()


def test_the_end_does_not_wait_for_a_call_that_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT", 0.01)
    threads, begun, never = Threads(1, "t"), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        never.wait(SOON)

    stuck = threads.submit(hang)
    assert begun.wait(SOON)
    waiting = threads.submit(int)
    threads.shutdown()
    with pytest.raises(CancelledError):
        waiting.result(SOON)
    assert not stuck.done()
    never.set()
    stuck.result(SOON)
