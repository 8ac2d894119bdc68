from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from st2sensor.portable import rpc
from st2sensor.sensor import Sensor
from st2sensor.wrapper.callbacks import Callbacks
from st2sensor.wrapper.connection import Connection


class Idle(Sensor):
    def __init__(self) -> None:
        super().__init__(None)
        self.calls: list[object] = []

    def setup(self) -> None: ...
    def run(self) -> None: ...
    def cleanup(self) -> None: ...

    def add_trigger(self, trigger: dict[str, Any]) -> None:
        self.calls.append(trigger)
        raise SystemExit(1)

    def update_trigger(self) -> None:  # type: ignore[override]
        self.calls.append("updated")

    def remove_trigger(self, trigger: dict[str, Any]) -> None: ...


class Session:
    """A connection with a fixed list of notifications."""

    def __init__(self, *messages: rpc.Message) -> None:
        self._messages = messages
        self.sent: list[tuple[str, rpc.Message]] = []

    def notify(self, method: str, params: rpc.Message) -> None:
        self.sent.append((method, params))

    def notifications(self) -> tuple[rpc.Message, ...]:
        return self._messages


def listen(*messages: rpc.Message) -> tuple[Idle, Session]:
    sensor, session = Idle(), Session(*messages)
    Callbacks(sensor, cast(Connection, session))._listen()
    return sensor, session


def test_a_callback_that_exits_does_not_keep_the_next_one_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    sensor, session = listen(
        {"method": "trigger.add", "params": {"trigger": {"id": "1"}}},
        {"method": "trigger.update", "params": {"trigger": {"id": "1"}}},
    )
    # update_trigger() has no parameter for the trigger.
    assert sensor.calls == [{"id": "1"}, "updated"]
    assert [record.getMessage() for record in caplog.records] == ["add_trigger() failed"]
    running = [(params["method"], params["running"]) for _, params in session.sent]
    assert running == [
        *(("add_trigger", True), ("add_trigger", False)),
        *(("update_trigger", True), ("update_trigger", False)),
    ]


def test_an_inherited_triggers_known_and_unknown_notifications_are_ignored() -> None:
    sensor, session = listen({"method": "trigger.known", "params": {}}, {"method": "other", "params": {}})
    assert (sensor.calls, session.sent) == ([], [])


def test_the_level_of_the_log_is_set() -> None:
    root = logging.getLogger()
    before = root.level
    try:
        listen({"method": "log.level", "params": {"level": logging.ERROR}})
        assert root.level == logging.ERROR
    finally:
        root.setLevel(before)


class Renaming(Idle):
    def add_trigger(self, t: dict[str, Any]) -> None:
        self.calls.append(t)

    def update_trigger(self, *args: Any) -> None:
        self.calls.append(args)

    def remove_trigger(self, *, trigger: dict[str, Any]) -> None:  # type: ignore[override]
        self.calls.append(trigger)

    def triggers_known(self) -> None:
        self.calls.append("known")


def test_a_callback_gets_the_trigger_whatever_its_parameter_is_called() -> None:
    trigger = {"trigger": {"id": "1"}}
    names = ("trigger.add", "trigger.update", "trigger.remove")
    session = Session(
        *({"method": name, "params": trigger} for name in names), {"method": "trigger.known", "params": {}}
    )
    sensor = Renaming()
    Callbacks(sensor, cast(Connection, session))._listen()
    assert sensor.calls == [{"id": "1"}, ({"id": "1"},), {"id": "1"}, "known"]
