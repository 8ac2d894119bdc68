from __future__ import annotations

from st2sensor.container.supervision.throttle import BURST, Throttle


def test_a_burst_passes_and_what_is_more_is_counted() -> None:
    throttle = Throttle(10, now=0)
    assert sum(throttle.admits(0) for _ in range(500)) == 10 * BURST
    assert throttle.settle() == 500 - 10 * BURST
    assert throttle.settle() == 0


def test_a_steady_rate_passes_for_ever() -> None:
    throttle = Throttle(10, now=0)
    assert all(throttle.admits(number / 10) for number in range(1000))


def test_after_a_burst_just_the_rate_passes() -> None:
    throttle = Throttle(10, now=0)
    for _ in range(1000):
        throttle.admits(0)
    assert sum(throttle.admits(1) for _ in range(100)) == 10


def test_without_a_rate_everything_passes() -> None:
    throttle = Throttle(0, now=0)
    assert all(throttle.admits(0) for _ in range(10_000))


def test_a_long_line_counts_as_several() -> None:
    throttle = Throttle(10, now=0)
    assert sum(throttle.admits(0, 5) for _ in range(500)) == 10 * BURST / 5
