from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from st2sensor.sensor import PollingSensor, Sensor
from st2sensor.wrapper.loading import methods
from st2sensor.wrapper.loading.loader import LoadError


class Passive(Sensor):
    def setup(self) -> None: ...
    def run(self) -> None: ...
    def cleanup(self) -> None: ...
    def add_trigger(self, trigger: Any) -> None: ...
    def update_trigger(self, trigger: Any) -> None: ...
    def remove_trigger(self, trigger: Any) -> None: ...


class Polling(PollingSensor, Passive):
    run = PollingSensor.run

    def poll(self) -> None: ...


def completed(method: Any) -> Any:
    @functools.wraps(method)
    def run(*args: Any) -> None:
        asyncio.run(method(*args))

    return run


class Decorated(Passive):
    @completed
    async def run(self) -> None: ...


class Helper(Passive):
    async def poll(self) -> None: ...

    def run(self) -> None:
        asyncio.run(self.poll())


class Loose(Passive):
    def setup(self, *args: Any) -> None: ...
    def run(self, times: int = 3) -> None: ...


@pytest.mark.parametrize("sensor", [Passive, Polling, Decorated, Helper, Loose])
def test_methods_whose_code_runs_pass(sensor: type) -> None:
    methods.check(sensor, "s.py")


async def coroutine(self: Any) -> None: ...


async def coroutine_with_trigger(self: Any, trigger: Any) -> None: ...


async def stream(_: Any) -> Any:
    yield


def generator(_: Any) -> Any:
    yield


def greedy(self: Any, path: str) -> None: ...


def selfless() -> None: ...


@pytest.mark.parametrize(
    ("base", "name", "method", "kind", "said"),
    [
        (
            Passive,
            "run",
            coroutine,
            "async-method",
            "run() of Odd is an async def: calling it runs none of its code; write def run(self), and have it call "
            "asyncio.run() with the coroutine that does the work",
        ),
        (Passive, "setup", coroutine, "async-method", "write def setup(self), and call asyncio.run() inside run()"),
        (Polling, "poll", coroutine, "async-method", "poll() of Odd is an async def"),
        (Passive, "cleanup", coroutine, "async-method", "cleanup() of Odd is an async def"),
        (Passive, "add_trigger", coroutine_with_trigger, "async-method", "write def add_trigger(self, trigger), and"),
        (Passive, "run", stream, "async-method", "run() of Odd is an async def"),
        (Polling, "poll", generator, "generator", "poll() of Odd contains yield: calling it runs none of its code"),
        (Passive, "run", greedy, "signature", "missing a required argument: 'path'; write it as def run(self)"),
        (Passive, "setup", selfless, "signature", "too many positional arguments; write it as def setup(self)"),
    ],
)
def test_methods_whose_code_does_not_run_are_refused_with_place_and_remedy(
    base: type, name: str, method: Any, kind: str, said: str
) -> None:
    odd = type("Odd", (base,), {name: method})
    with pytest.raises(LoadError) as caught:
        methods.check(odd, "s.py")
    assert said in str(caught.value)
    assert (caught.value.kind, caught.value.file) == (kind, __file__)
    assert caught.value.line == method.__code__.co_firstlineno
