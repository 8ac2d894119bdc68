from __future__ import annotations

import functools
from typing import Any

import pytest

from st2sensor.sensor import PollingSensor, Sensor
from st2sensor.wrapper.loading import constructor
from st2sensor.wrapper.loading.loader import LoadError


class Base(PollingSensor):
    def setup(self) -> None: ...
    def poll(self) -> None: ...
    def cleanup(self) -> None: ...
    def add_trigger(self, trigger: Any) -> None: ...
    def update_trigger(self, trigger: Any) -> None: ...
    def remove_trigger(self, trigger: Any) -> None: ...


class NoInterval(Base):
    def __init__(self, sensor_service: Any, config: Any) -> None:
        super().__init__(sensor_service, config, 3)


class Inherits(NoInterval):
    pass


class NeedsInterval(Base):
    def __init__(self, sensor_service: Any, config: Any, poll_interval: float) -> None:
        super().__init__(sensor_service, config, poll_interval)


class NeedsMore(Base):
    def __init__(self, sensor_service: Any, config: Any, path: str, poll_interval: float = 1) -> None:
        super().__init__(sensor_service, config, poll_interval)
        self.path = path


class OtherNames(Base):
    def __init__(self, service: Any, conf: Any, poll_interval: float = 1) -> None:
        super().__init__(service, conf, poll_interval)


class TakesAll(Base):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def without_interval(init: Any) -> Any:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, poll_interval: Any = None, **kwargs: Any) -> None:  # noqa: ARG001
        init(self, *args, **kwargs)

    return wrapped


class Wrapped(Base):
    @without_interval
    def __init__(self, sensor_service: Any, config: Any) -> None:
        super().__init__(sensor_service, config)


class Passive(Sensor):
    def __init__(self, sensor_service: Any, config: Any = None) -> None:
        super().__init__(sensor_service, config)


@pytest.mark.parametrize(
    ("sensor", "interval"),
    [
        (Base, 2),
        (Base, None),
        (NoInterval, None),
        (NeedsInterval, 0.5),
        (TakesAll, 2),
        (TakesAll, None),
        (Wrapped, 2),
        # poll_interval is not passed to a sensor that does not poll.
        (Passive, 2),
    ],
)
def test_what_can_be_called_passes_and_is_called_so(sensor: Any, interval: float | None) -> None:
    constructor.check(sensor, interval, "s.py")
    if sensor is not Passive:
        sensor(**constructor.arguments(sensor, None, {}, interval))


@pytest.mark.parametrize(
    ("sensor", "interval", "line", "said"),
    [
        (
            NoInterval,
            2,
            NoInterval,
            "the constructor of NoInterval cannot be called with sensor_service, config, poll_interval: got an "
            "unexpected keyword argument 'poll_interval'; write it as __init__(self, sensor_service, config=None, "
            "poll_interval=None), and pass these to super().__init__(), or remove poll_interval from the metadata",
        ),
        (Inherits, 2, NoInterval, "the constructor of Inherits cannot be called with sensor_service, config, poll_int"),
        (NeedsInterval, None, NeedsInterval, "; give poll_interval a default value, or set it in the metadata"),
        (NeedsMore, 2, NeedsMore, "missing a required argument: 'path'; write it as __init__(self, sensor_service"),
        (OtherNames, 2, OtherNames, "missing a required argument: 'service'; write it as __init__(self, sensor_serv"),
    ],
)
def test_what_cannot_be_called_is_told_with_its_place_and_remedy(
    sensor: Any, interval: float | None, line: Any, said: str
) -> None:
    with pytest.raises(LoadError) as caught:
        constructor.check(sensor, interval, "s.py")
    assert said in str(caught.value)
    assert (caught.value.kind, caught.value.file) == ("constructor", __file__)
    assert caught.value.line == line.__init__.__code__.co_firstlineno
    assert not caught.value.in_metadata
    with pytest.raises(TypeError):
        sensor(**constructor.arguments(sensor, None, {}, interval))
