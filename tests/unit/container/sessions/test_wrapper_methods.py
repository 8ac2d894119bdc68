"""Each method of the wrapper protocol, and the errors that a wrapper gets for its mistakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from st2sensor.container.sessions.datastore.methods import DatastoreMethods
from st2sensor.container.sessions.events import EventMethods
from st2sensor.container.sessions.session import Waiting
from st2sensor.container.sessions.wrapper_methods import WrapperMethods, with_texts
from st2sensor.errors import DatastoreError, LeaseLost, OutboxError, SensorNotFound, SensorStops
from st2sensor.models import Trigger
from st2sensor.portable import rpc
from tests.unit.container.sessions.fakes import FakeNode, RecordingSession, until


class Sensors:
    """Records the reports of wrappers."""

    def __init__(self) -> None:
        self.reports: list[tuple[object, ...]] = []

    async def sensor_of(self, token: str) -> str | None:
        return {"secret": "p.S"}.get(token)

    def log_level(self, ref: str) -> int:  # noqa: ARG002
        return 30

    def is_ready(self, ref: str) -> None:
        self.reports.append(("ready", ref))

    def is_set_up(self, ref: str) -> None:
        self.reports.append(("set up", ref))

    def ends(self, ref: str) -> None:
        self.reports.append(("ends", ref))

    def polls(self, ref: str, running: bool, interval: float | None, failed: bool) -> None:
        self.reports.append(("polls", ref, running, interval, failed))

    def hears(self, ref: str, method: str, running: bool) -> None:
        self.reports.append(("hears", ref, method, running))

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        self.reports.append(("log", ref, name, level, message))


class Relay:
    """Stands for the methods of events and of the datastore."""

    def __init__(self) -> None:
        self.requests: list[tuple[object, ...]] = []
        self.error: Exception | None = None

    def dispatch(self, session: object, identifier: int, params: object, bodies: object) -> None:  # noqa: ARG002
        self.requests.append(("dispatch", identifier, params, bodies))

    def answer_schema(self, session: object, identifier: int, params: object) -> None:  # noqa: ARG002
        self.requests.append(("schema", identifier, params))

    def handle(self, session: object, identifier: int, method: str, params: object) -> None:  # noqa: ARG002
        if self.error is not None:
            raise self.error
        self.requests.append((method, identifier, params))

    async def carry_out_batches(self, ref: str) -> None:
        self.requests.append(("batches", ref))
        if self.error is not None:
            raise self.error


class Wrapper:
    """The methods, and one session that has said hello."""

    def __init__(self) -> None:
        self.node, self.sensors, self.relay = FakeNode(), Sensors(), Relay()
        relayed = cast(EventMethods, self.relay), cast(DatastoreMethods, self.relay)
        self.methods = WrapperMethods(self.node, self.sensors, *relayed, user="stanley")
        self.session = RecordingSession(None)

    async def greet(self, session: RecordingSession | None = None) -> None:
        session = session or self.session
        self.ask("hello", {"token": "secret", "version": rpc.PROTOCOL_VERSION}, session=session)
        await until(lambda: session.ref is not None)
        session.answers.clear()

    def ask(
        self,
        method: Any,
        params: Any = None,
        *,
        identifier: Any = 7,
        bodies: list[bytes] | None = None,
        session: RecordingSession | None = None,
    ) -> None:
        message = {"id": identifier, "method": method, "params": params, "bodies": bodies or []}
        self.methods.handle(session or self.session, message)


def run(test: Callable[[Wrapper], Coroutine[Any, Any, None]], *, greeted: bool = True) -> None:
    async def main() -> None:
        wrapper = Wrapper()
        if greeted:
            await wrapper.greet()
        await test(wrapper)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("token", "version", "error", "is_closed"),
    [("other", rpc.PROTOCOL_VERSION, "unknown token", True), ("secret", 0, "speaks version", False)],
)
def test_a_hello_needs_a_token_and_the_version(token: str, version: int, error: str, is_closed: bool) -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask("hello", {"token": token, "version": version})
        await until(lambda: bool(wrapper.session.errors))
        assert error in str(wrapper.session.errors[0][1])
        assert wrapper.session.is_closed is is_closed
        assert wrapper.session.ref is None

    run(test, greeted=False)


def test_a_hello_is_answered_with_the_reference() -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask("hello", {"token": "secret", "version": rpc.PROTOCOL_VERSION})
        await until(lambda: bool(wrapper.session.answers))
        assert wrapper.session.answers == [(7, {"ref": "p.S"})]
        # Nobody waits for an answer before the session has a name.
        assert wrapper.session.expected == []

    run(test, greeted=False)


def test_one_that_hangs_up_during_hello_is_forgotten() -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask("hello", {"token": "secret", "version": rpc.PROTOCOL_VERSION})
        wrapper.session.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wrapper.session.ref is None
        assert wrapper.methods.heard_at("p.S") is None

    run(test, greeted=False)


@pytest.mark.parametrize("method", ["dispatch", "schema", "datastore.get", "assignment", "poll", "nonsense"])
def test_nothing_is_done_before_hello(method: str) -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask(method, {"trigger": "p.t", "running": True})
        assert "say hello first" in str(wrapper.session.errors[0][1])
        assert wrapper.session.is_closed
        assert wrapper.relay.requests == wrapper.sensors.reports == []

    run(test, greeted=False)


def test_requests_about_events_and_keys_are_passed_on_with_what_came_as_bodies() -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask("dispatch", {"trigger": "p.t"}, bodies=[b"{}"])
        wrapper.ask("schema", {"trigger": "p.t"})
        wrapper.ask("datastore.set", {"name": "n", "texts": ["value"]}, bodies=[b'"long"'])
        assert wrapper.relay.requests == [
            ("dispatch", 7, {"trigger": "p.t"}, [b"{}"]),
            ("schema", 7, {"trigger": "p.t"}),
            ("datastore.set", 7, {"name": "n", "value": "long"}),
        ]
        assert wrapper.session.expected == ["dispatch", "schema", "datastore.set"]

    run(test)


def test_notifications_reach_the_sensors() -> None:
    async def test(wrapper: Wrapper) -> None:
        for method, params in (
            ("ready", {}),
            ("set_up", {}),
            ("poll", {"running": True, "interval": 5}),
            ("poll", {"running": False, "interval": -1, "failed": True}),
            ("hear", {"method": "add_trigger", "running": True}),
            ("log", {"message": "m", "level": 40, "logger": "l"}),
            ("log", {"message": "m"}),
            ("ending", {}),
        ):
            wrapper.ask(method, params, identifier=None)
        assert wrapper.sensors.reports == [
            ("ready", "p.S"),
            ("set up", "p.S"),
            ("polls", "p.S", True, 5.0, False),
            ("polls", "p.S", False, None, True),
            ("hears", "p.S", "add_trigger", True),
            ("log", "p.S", "l", 40, "m"),
            ("log", "p.S", "p.S", 20, "m"),
            ("ends", "p.S"),
        ]
        assert not wrapper.session.errors

    run(test)


@pytest.mark.parametrize("error", [None, DatastoreError("the database is away"), LeaseLost("p.S"), OutboxError("full")])
def test_unfinished_batches_are_carried_out_before_an_assignment_or_later(
    caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.node.assignments["p.S"] = {"entry_point": "s.py"}
        wrapper.ask("assignment")
        await until(lambda: len(wrapper.session.answers) == 1)
        assert wrapper.relay.requests == []
        wrapper.node.unfinished, wrapper.relay.error = {"p.S"}, error
        wrapper.ask("assignment")
        await until(lambda: len(wrapper.session.answers) == 2)
        assert wrapper.relay.requests == [("batches", "p.S")]

    run(test)
    assert ("p.S: its unfinished batches will be carried out later" in caplog.text) is (error is not None)


def test_the_user_and_the_assignment_are_answered_and_their_errors_too(caplog: pytest.LogCaptureFixture) -> None:
    async def test(wrapper: Wrapper) -> None:
        errors = wrapper.session.errors
        wrapper.node.assignments["p.S"] = {"entry_point": "s.py"}
        wrapper.ask("user.info")
        wrapper.ask("assignment", identifier=8)
        await until(lambda: len(wrapper.session.answers) == 2)
        assert wrapper.session.answers[0][1]["username"] == "stanley"
        assert wrapper.session.answers[1] == (8, {"entry_point": "s.py"})
        wrapper.node.assignments["p.S"] = SensorNotFound("it is gone")
        wrapper.ask("assignment", identifier=9)
        await until(lambda: len(errors) == 1)
        wrapper.node.assignments["p.S"] = MemoryError("no room")
        wrapper.ask("assignment", identifier=10)
        await until(lambda: len(errors) == 2)
        assert [(identifier, str(error)) for identifier, error in errors] == [(9, "it is gone"), (10, "no room")]
        assert wrapper.session.codes == [rpc.APPLICATION_ERROR, rpc.INTERNAL_ERROR]

    run(test)
    assert caplog.text.count("a request failed") == 1


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("poll", {}),
        ("poll", [1]),
        ("hear", {"method": "shutdown", "running": True}),
        ("log", {"message": "m", "level": "loud"}),
        ("datastore.set", {"texts": ["value"]}),
    ],
)
def test_a_malformed_request_is_refused_and_the_session_goes_on(method: str, params: Any) -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask(method, params)
        assert "malformed request" in str(wrapper.session.errors[0][1])
        assert not wrapper.session.is_closed
        assert wrapper.sensors.reports == []

    run(test)


def test_odd_ids_and_methods_are_refused() -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.ask("user.info", identifier="seven")
        wrapper.ask("nonsense")
        wrapper.ask(None)
        assert [identifier for identifier, _ in wrapper.session.errors] == [None, 7, 7]
        assert wrapper.session.codes[1:] == [rpc.METHOD_NOT_FOUND] * 2

    run(test)


def test_a_lost_lease_is_told_and_an_unforeseen_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.relay.error = LeaseLost("p.S")
        wrapper.ask("datastore.get", {})
        wrapper.relay.error = MemoryError("no room")
        wrapper.ask("datastore.get", {})
        assert [type(error) for _, error in wrapper.session.errors] == [LeaseLost, MemoryError]
        assert wrapper.session.codes == [rpc.APPLICATION_ERROR, rpc.INTERNAL_ERROR]

    run(test)
    assert caplog.text.count("a request failed") == 1


def trigger(identifier: str, value: int = 0) -> Trigger:
    return Trigger(id=identifier, pack="p", name=identifier, type="p.t", parameters={"value": value})


def test_subscribers_are_notified_of_the_differences_alone() -> None:
    async def test(wrapper: Wrapper) -> None:
        def notes() -> list[tuple[str, str | None]]:
            found = [(method, params.get("trigger", {}).get("id")) for method, params in wrapper.session.notes]
            wrapper.session.notes.clear()
            return found

        wrapper.methods.tell_triggers()
        assert notes() == []
        wrapper.node.triggers = [trigger("a"), trigger("b")]
        wrapper.ask("subscribe", identifier=None)
        assert notes() == [("trigger.add", "a"), ("trigger.add", "b"), ("trigger.known", None)]
        wrapper.methods.tell_triggers()
        assert notes() == []
        wrapper.node.triggers = [trigger("b", 2), trigger("c")]
        wrapper.methods.tell_triggers()
        assert notes() == [("trigger.update", "b"), ("trigger.add", "c"), ("trigger.remove", "a")]
        wrapper.methods.closed(wrapper.session)
        wrapper.node.triggers = []
        wrapper.methods.tell_triggers()
        assert notes() == []

    run(test)


def test_listeners_are_notified_of_their_log_level() -> None:
    async def test(wrapper: Wrapper) -> None:
        wrapper.methods.tell_log_level("p.S", 10)
        assert wrapper.session.notes == []
        wrapper.ask("listen", identifier=None)
        wrapper.methods.tell_log_level("p.S", 10)
        wrapper.methods.tell_log_level("p.Other", 20)
        assert wrapper.session.notes == [("log.level", {"level": 30}), ("log.level", {"level": 10})]

    run(test)


def test_a_sensor_is_its_process_and_its_forks() -> None:
    async def test(wrapper: Wrapper) -> None:
        fork = RecordingSession(None)
        await wrapper.greet(fork)
        assert wrapper.methods.oldest("p.S") is None
        wrapper.session.waiting, wrapper.session.heard_at = Waiting("dispatch", 5.0), 6.0
        fork.waiting, fork.heard_at = Waiting("datastore.get", 4.0), 9.0
        assert wrapper.methods.oldest("p.S") == fork.waiting
        assert wrapper.methods.heard_at("p.S") == 9.0
        wrapper.methods.release("p.S", 4.5, SensorStops("it stops"))
        assert wrapper.session.released == fork.released == [4.5]
        wrapper.methods.closed(fork)
        assert wrapper.methods.oldest("p.S") == wrapper.session.waiting
        wrapper.methods.hang_up("p.S")
        assert wrapper.session.drained
        assert wrapper.session.is_closed
        assert not fork.drained
        assert wrapper.methods.heard_at("p.S") is None

    run(test)


def test_bodies_are_texts_first_and_payloads_after_them() -> None:
    assert with_texts({"name": "n"}, []) == {"name": "n"}
    given = {"name": "n", "texts": ["value"]}
    assert with_texts(given, [b'"v"', b"{}", b"[]"]) == {"name": "n", "value": "v", "payloads": [b"{}", b"[]"]}
    for params, bodies in (({"texts": ["value"]}, []), ({"texts": "value"}, [b'"v"']), ({"texts": ["value"]}, [b"1"])):
        with pytest.raises(ValueError, match="text"):
            with_texts(dict(params), bodies)
