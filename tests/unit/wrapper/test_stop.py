"""The wrapper's stop, with real signals to this process."""

from __future__ import annotations

import contextlib
import ctypes
import signal
from collections.abc import Iterator

import pytest

from st2sensor.errors import DatastoreUnavailable, SensorStops
from st2sensor.portable import rpc
from st2sensor.wrapper import stop as module
from st2sensor.wrapper.stop import Stop, StopSensor
from tests.plugins.patience import AT_LAST


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stop]:
    monkeypatch.setattr(module, "UNWINDING", AT_LAST)
    numbers = (signal.SIGTERM, rpc.STOP_SIGNAL)
    before = [signal.getsignal(number) for number in numbers]
    stop = Stop()
    stop.begin()
    yield stop
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def terminate(*numbers: int) -> None:
    """Send signals to this thread: a signal to the process may reach another thread of the test runner first."""
    for number in numbers or (signal.SIGTERM,):
        signal.raise_signal(number)


def test_it_is_raised_and_raised_again_where_it_was_swallowed(stop: Stop) -> None:
    for _ in range(3):
        with pytest.raises(StopSensor):
            terminate()
        assert stop.asked


def test_two_signals_at_once_are_one_stop(stop: Stop) -> None:  # noqa: ARG001
    caught = 0
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, rpc.STOP_SIGNAL})
        terminate(signal.SIGTERM, rpc.STOP_SIGNAL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, rpc.STOP_SIGNAL})
    except StopSensor:
        caught += 1
        # The second signal has arrived as well: it must not raise while the first is being handled.
        terminate(rpc.STOP_SIGNAL)
    assert caught == 1


def test_unwinding_is_left_alone_for_a_while(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    kept = []
    try:
        terminate()
    except StopSensor as raised:
        kept.append(raised)
        terminate()
    terminate()
    monkeypatch.setattr(module, "UNWINDING", -1.0)
    with pytest.raises(StopSensor):
        terminate()


def test_behind_the_shield_it_waits_for_the_end_of_the_block(stop: Stop) -> None:
    done = []

    def call() -> None:
        with stop:
            terminate()
            done.append("not torn apart")

    with pytest.raises(StopSensor):
        call()
    assert done


def test_an_error_behind_the_shield_goes_first(stop: Stop) -> None:
    def call() -> None:
        with stop:
            terminate()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        call()


def test_before_the_begin_and_after_the_end_nothing_is_raised(stop: Stop) -> None:
    stop.over()
    terminate()
    late = Stop()
    terminate()
    late.begin()
    assert not late.asked
    with contextlib.suppress(StopSensor):
        terminate()
    assert late.asked


@pytest.mark.parametrize("error", [SensorStops("it stops"), DatastoreUnavailable("away")])
def test_a_call_that_was_released_by_the_stop_raises_the_stop(stop: Stop, error: Exception) -> None:
    def call() -> None:
        with stop:
            terminate()
            raise error

    with pytest.raises(StopSensor) as raised:
        call()
    assert raised.value.__context__ is error


def test_without_a_stop_and_in_cleanup_the_error_of_the_call_is_raised(stop: Stop) -> None:
    def call() -> None:
        with stop:
            raise SensorStops("no room")

    for _ in range(2):
        with pytest.raises(SensorStops):
            call()
        stop.over()
        terminate()


def test_a_sensor_that_swallows_it_again_and_again_is_ended_where_it_is(stop: Stop) -> None:
    ended = []
    stop.end_here = lambda: ended.append("here")
    for number in range(module.SWALLOWED):
        with contextlib.suppress(StopSensor):
            terminate()
        assert (number, ended) == (number, [])
    with contextlib.suppress(StopSensor):
        terminate()
    assert ended == ["here"]


def deliver_at_once() -> int:
    """Have both signals arrive during one call of C code, which does not look for signals itself."""
    both = (signal.SIGTERM, rpc.STOP_SIGNAL)
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    terminate(*both)
    nothing = ctypes.create_string_buffer(128)
    ctypes.PyDLL(None).pthread_sigmask(int(signal.SIG_SETMASK), nothing, None)
    return 1


def test_two_signals_that_are_handled_one_after_the_other_are_one_stop(stop: Stop) -> None:
    assert stop.follow(deliver_at_once, 2) == 2
    terminate()


def test_a_stop_at_the_very_end_counts(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    over = stop.over
    calls: list[None] = []

    def interrupted() -> None:
        calls.append(None)
        if len(calls) == 1:
            terminate()
        over()

    monkeypatch.setattr(stop, "over", interrupted)
    assert stop.follow(lambda: 1, 2) == 2
    assert len(calls) == 2
    terminate()


def test_without_a_stop_the_result_counts(stop: Stop) -> None:
    assert stop.follow(lambda: 1, 2) == 1
    terminate()
