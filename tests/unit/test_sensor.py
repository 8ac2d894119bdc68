from __future__ import annotations

import pytest

from st2sensor import sensor as api
from st2sensor.sensor import PollingSensor, Sensor


class Clock:
    """Stands in for the time module: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


class Done(BaseException):
    pass


class Polling(PollingSensor):
    def setup(self) -> None: ...
    def cleanup(self) -> None: ...
    def poll(self) -> None: ...
    def add_trigger(self, trigger: object) -> None: ...
    def update_trigger(self, trigger: object) -> None: ...
    def remove_trigger(self, trigger: object) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(api, "time", clock)
    return clock


def run_polls(sensor: PollingSensor, count: int, during: object = None) -> None:
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls > count:
            raise Done
        if callable(during):
            during(polls)

    sensor.poll = poll  # type: ignore[method-assign]
    with pytest.raises(Done):
        sensor.run()


def test_polls_keep_their_rhythm_whatever_a_poll_takes(clock: Clock) -> None:
    def take(poll: int) -> None:
        clock.now += 0.1 * poll

    run_polls(Polling(None, poll_interval=1.5), 3, take)
    assert clock.slept == [1.4, 1.3, 1.2]


def test_a_poll_that_overruns_is_followed_at_once_and_not_caught_up_with(clock: Clock) -> None:
    def take(poll: int) -> None:
        clock.now += 10 if poll == 1 else 0

    run_polls(Polling(None, poll_interval=2), 3, take)
    assert clock.slept == [0, 2, 2]


def test_a_changed_interval_is_honoured_before_the_next_wait(clock: Clock) -> None:
    sensor = Polling(None, poll_interval=5)

    def change(poll: int) -> None:
        if poll == 1:
            sensor.set_poll_interval(0.25)
        if poll == 2:
            sensor._poll_interval = 7

    run_polls(sensor, 3, change)
    assert clock.slept == [0.25, 7, 7]


@pytest.mark.parametrize("interval", [0, -1, "5", True, float("nan")])
def test_an_interval_that_is_no_positive_number_is_refused(interval: object) -> None:
    with pytest.raises(ValueError, match="poll_interval must be a number of seconds above 0"):
        Polling(None, poll_interval=interval)  # type: ignore[arg-type]


def test_a_sensor_that_never_calls_the_base_still_polls(clock: Clock) -> None:
    class Careless(Polling):
        def __init__(self, sensor_service: object, config: object = None) -> None:
            pass

    run_polls(Careless(None), 1)
    assert clock.slept == [api.DEFAULT_POLL_INTERVAL]


def test_the_base_keeps_what_it_is_given_under_stackstorms_names() -> None:
    sensor = Polling("service", {"a": 1}, 3)
    assert sensor._sensor_service == sensor.sensor_service == "service"
    assert sensor._config == sensor.config == {"a": 1}
    assert sensor.get_poll_interval() == 3


def test_every_method_must_be_defined() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Sensor(None)  # type: ignore[abstract]
