"""The operators' operations on sensors in each state."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container.operators.neighbours import Neighbours
from st2sensor.container.operators.operations import Operations
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.children import Children
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import SensorNotFound
from st2sensor.logs import setup as logs
from st2sensor.models import Overrides, TriggerType


class Node:
    """Sensors and a dispatcher that record the calls they get."""

    def __init__(self, folder: Path, **states: State) -> None:
        self.states = {
            f"p.{name}": Child(ref=f"p.{name}", state=state, digest="", since=0.0, reason="")
            for name, state in states.items()
        }
        self.desired = set(self.states)
        self.done: list[tuple[object, ...]] = []
        self.methods: dict[str, str] = {}
        self.known: set[str] = set()
        self.reason: str | None = None
        self.operations = Operations(
            cast(Children, self),
            cast(Dispatcher, self),
            lambda: self.desired,
            self.refresh,
            lambda ref, level: self.done.append(("tell level", ref, level)),
            Neighbours(folder, is_alone=False),
        )

    async def refresh(self) -> None:
        self.known.add("p.late")
        self.done.append(("refresh",))

    def stop(self, ref: str, reason: str) -> None:
        self.done.append(("stop", ref, reason))

    def method_of(self, ref: str) -> str | None:
        return self.methods.get(ref)

    def start_now(self, ref: str) -> None:
        self.done.append(("start", ref))

    def overrides_of(self, ref: str) -> Overrides:  # noqa: ARG002
        return Overrides(memory=5)

    def override(self, ref: str, overrides: Overrides) -> int | None:
        self.done.append(("override", ref, overrides))
        return None if overrides.log_level is None else logging.getLevelNamesMapping()[overrides.log_level]

    def type_of(self, trigger: str) -> TriggerType | None:
        pack, _, name = trigger.partition(".")
        return TriggerType(pack=pack, name=name) if trigger in self.known else None

    async def entry(self, sensor: str, event: Event, known: TriggerType | None) -> Any:  # noqa: ARG002
        assert event.by_hand
        return self

    async def put(self, entries: object) -> None:
        assert entries == [self]
        self.done.append(("put",))


@pytest.mark.parametrize(
    ("state", "done"),
    [
        (State.STARTING, [("stop", "p.A", "an operator is restarting it")]),
        (State.RUNNING, [("stop", "p.A", "an operator is restarting it")]),
        (State.STOPPING, []),
        (State.BACKOFF, [("start", "p.A")]),
        (State.FINISHED, [("start", "p.A")]),
        (State.STOPPED, [("start", "p.A")]),
    ],
)
def test_a_restart_stops_what_runs_and_starts_what_waits(
    folder: Path, state: State, done: list[tuple[object, ...]]
) -> None:
    node = Node(folder, A=state)
    node.operations.restart("p.A")
    assert node.done == done


def test_a_sensor_that_does_not_run_here_or_should_not_is_not_found(folder: Path) -> None:
    node = Node(folder, A=State.RUNNING)
    operations: list[Callable[[], None]] = [
        lambda: node.operations.restart("p.None"),
        lambda: node.operations.set_log_level("p.None", "DEBUG"),
    ]
    for operation in operations:
        with pytest.raises(SensorNotFound, match=r"st2sensor show p\.None says why"):
            operation()
    node.desired = set()
    with pytest.raises(SensorNotFound, match="disabled, or assigned to another node"):
        node.operations.restart("p.A")
    assert node.done == []


@pytest.mark.parametrize(
    ("state", "method", "is_settled"),
    [
        (State.STARTING, None, False),
        (State.RUNNING, "setup()", False),
        # A failed setup() is followed by cleanup(), and only then by the exit.
        (State.RUNNING, "cleanup()", False),
        (State.STOPPING, None, False),
        (State.RUNNING, "poll()", True),
        (State.RUNNING, None, True),
        (State.BACKOFF, None, True),
        (State.FINISHED, None, True),
    ],
)
def test_a_sensor_is_settled_once_it_is_set_up_or_has_failed(
    folder: Path, state: State, method: str | None, is_settled: bool
) -> None:
    node = Node(folder, A=state, B=State.RUNNING)
    if method is not None:
        node.methods["p.A"] = method
    assert node.operations.is_settled() is is_settled
    node.desired.add("p.C")
    assert not node.operations.is_settled()
    # A sensor that should not run here does not matter.
    node.desired = {"p.B"}
    assert node.operations.is_settled()


def test_a_log_level_that_an_operator_has_set_outlives_new_overrides(folder: Path) -> None:
    node = Node(folder, A=State.RUNNING)
    node.operations.set_log_level("p.A", "DEBUG")
    assert node.done == [("override", "p.A", Overrides(memory=5, log_level="DEBUG")), ("tell level", "p.A", 10)]
    node.done.clear()
    node.operations.override("p.A", Overrides(memory=6, log_level="ERROR"))
    assert node.done[0] == ("override", "p.A", Overrides(memory=6, log_level="DEBUG"))
    assert node.operations.overridden("p.B", Overrides(log_level="ERROR")).log_level == "ERROR"


def test_the_containers_level_reaches_every_sensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(folder, A=State.RUNNING, B=State.BACKOFF)
    levels: list[str] = []
    monkeypatch.setattr(logs, "set_level", levels.append)
    node.operations.set_level("ERROR")
    assert levels == ["ERROR"]
    assert [(step[0], step[1]) for step in node.done] == [("override", "p.A"), ("override", "p.B")]


def test_another_container_is_told_of_a_sensor_that_should_also_run_here(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(folder, A=State.RUNNING)
    assert node.operations.neighbour("p.A", 77) == os.getpid()
    assert node.operations.neighbour("p.A", 77) == os.getpid()
    assert caplog.text.count("p.A also runs in the container of process 77") == 1
    assert node.operations.neighbour("p.None", 77) is None


def test_storage_is_read_for_an_unknown_trigger_and_an_invalid_event_is_refused(folder: Path) -> None:
    node = Node(folder)
    event = Event(trigger="p.late", payload=b"{}")
    asyncio.run(node.operations.dispatch("core", event))
    asyncio.run(node.operations.dispatch("core", event))
    assert node.done == [("refresh",), ("put",), ("put",)]
    node.reason = "it does not fit"
    with pytest.raises(ValueError, match="it does not fit"):
        asyncio.run(node.operations.dispatch("core", event))
    assert node.done == [("refresh",), ("put",), ("put",)]
