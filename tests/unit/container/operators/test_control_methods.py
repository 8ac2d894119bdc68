"""The control socket's methods: what each passes on, and what an odd request gets."""

from __future__ import annotations

import asyncio
import grp
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.control_methods import MOST_REQUESTS, SOCKET_MODE, Control
from st2sensor.container.operators.operations import Operations
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.container.operators.reporter import Reporter
from st2sensor.dispatch.event import Event
from st2sensor.errors import SensorNotFound
from st2sensor.models import CORE_PACK, TraceContext
from st2sensor.portable import rpc
from st2sensor.reports import CONTROL_SOCKET, PAGE
from st2sensor.system.connection_limits import Priority
from tests.plugins.patience import SOON
from tests.unit.container.sessions.fakes import RecordingSession, until


class Client(RecordingSession):
    is_congested = False


@dataclass
class Report:
    ref: str


class Parts:
    """Operations, reports and lines; records the calls."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()

    async def refresh(self) -> None:
        await self.go_on.wait()

    def restart(self, ref: str) -> None:
        self.done.append(("restart", ref))
        if self.failure is not None:
            raise self.failure

    def neighbour(self, ref: str, process: int) -> int | None:
        self.done.append(("neighbour", ref, process))
        return 7

    def set_level(self, level: str) -> None:
        self.done.append(("level", level))

    def set_log_level(self, ref: str, level: str) -> None:
        self.done.append(("level of", ref, level))

    async def dispatch(self, sensor: str, event: Event) -> None:
        self.done.append(("dispatch", sensor, event.trigger, event.payload, event.trace_context))

    def is_settled(self) -> bool:
        return True

    async def node(self) -> Report:
        return Report("node")

    async def sensors(self, after: str, count: int) -> list[Report]:
        self.done.append(("sensors", after, count))
        return [Report("p.A"), Report("p.B")]

    async def sensor(self, ref: str) -> Report | None:
        return Report(ref) if ref == "p.A" else None

    def lines(self, ref: str) -> list[dict[str, Any]]:
        return [{"text": ref}]


class Bench:
    def __init__(self) -> None:
        self.parts = Parts()
        self.events = Broadcast()
        self.control = Control(
            cast(Operations, self.parts),
            cast(Reporter, self.parts),
            cast(RecentLogs, self.parts),
            self.events,
        )
        self.client = Client()

    def ask(self, method: Any, identifier: Any = 1, bodies: tuple[bytes, ...] = (), **params: Any) -> None:
        message = {"id": identifier, "method": method, "params": params, "bodies": list(bodies)}
        self.control.handle(self.client, message)

    async def answer(self, method: str, *, bodies: tuple[bytes, ...] = (), **params: Any) -> Any:
        """Return the answer to a request, or its error."""
        before = len(self.client.answers) + len(self.client.errors)
        self.ask(method, bodies=bodies, **params)
        await until(lambda: len(self.client.answers) + len(self.client.errors) > before)
        return self.client.errors.pop()[1] if self.client.errors else self.client.answers.pop()[1]


def in_loop(play: Callable[[Bench], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(SOON):
            await play(Bench())

    asyncio.run(run())


def test_reports_are_answered_as_objects() -> None:
    async def play(bench: Bench) -> None:
        assert await bench.answer("node") == {"ref": "node"}
        assert await bench.answer("settled") is True
        assert await bench.answer("sensor", ref="p.A") == {"ref": "p.A"}
        assert await bench.answer("sensor", ref="p.X") is None
        assert await bench.answer("sensors") == [{"ref": "p.A"}, {"ref": "p.B"}]
        await bench.answer("sensors", after="p.B")
        assert bench.parts.done == [("sensors", "", PAGE), ("sensors", "p.B", PAGE)]
        assert await bench.answer("logs", ref="p.A") == [{"text": "p.A"}]

    in_loop(play)


def test_operations_get_their_parameters() -> None:
    async def play(bench: Bench) -> None:
        await bench.answer("restart", ref="p.A")
        assert await bench.answer("neighbour", ref="p.A", process=3) == 7
        await bench.answer("log_level", level="DEBUG")
        await bench.answer("log_level", level="ERROR", ref="p.A")
        assert bench.parts.done == [
            ("restart", "p.A"),
            ("neighbour", "p.A", 3),
            ("level", "DEBUG"),
            ("level of", "p.A", "ERROR"),
        ]

    in_loop(play)


def test_an_event_is_dispatched_with_its_body_or_its_payload() -> None:
    async def play(bench: Bench) -> None:
        await bench.answer("dispatch", trigger="p.t", bodies=(b'{"a": 1}',))
        await bench.answer("dispatch", trigger="p.t", payload={"a": 2}, trace_tag="why")
        first, second = bench.parts.done
        assert first == ("dispatch", CORE_PACK, "p.t", b'{"a": 1}', None)
        assert second == ("dispatch", CORE_PACK, "p.t", rpc.body({"a": 2}), TraceContext(tag="why"))

    in_loop(play)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("log_level", {"level": "LOUD"}, "'LOUD' is not a log level; use one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("sensors", {"after": 7}, "after is a sensor's reference"),
        ("dispatch", {"trigger": 7}, "trigger is a reference"),
        ("restart", {"reff": "p.A"}, "unexpected keyword argument 'reff'"),
        ("restart", {}, "missing 1 required positional argument"),
    ],
)
def test_wrong_parameters_are_refused(method: str, params: dict[str, Any], error: str) -> None:
    async def play(bench: Bench) -> None:
        assert error in str(await bench.answer(method, **params))
        assert bench.client.codes == [rpc.APPLICATION_ERROR]
        assert bench.parts.done == []

    in_loop(play)


def test_an_expected_error_is_answered_and_an_unexpected_one_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async def play(bench: Bench) -> None:
        for failure in (SensorNotFound("none"), RuntimeError("a mistake")):
            bench.parts.failure = failure
            assert await bench.answer("restart", ref="p.A") is failure
        assert bench.client.codes == [rpc.APPLICATION_ERROR, rpc.INTERNAL_ERROR]

    in_loop(play)
    (record,) = caplog.records
    assert record.getMessage() == "a request on the control socket failed"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"id": "1", "method": "node"}, rpc.APPLICATION_ERROR),
        ({"method": "node"}, rpc.APPLICATION_ERROR),
        ({"id": 1, "method": "node", "params": [1]}, rpc.APPLICATION_ERROR),
        ({"id": 1, "method": "dispatch", "params": [1], "bodies": []}, rpc.APPLICATION_ERROR),
        ({"id": 1, "method": "nothing"}, rpc.METHOD_NOT_FOUND),
        ({"id": 1, "method": ["node"]}, rpc.METHOD_NOT_FOUND),
        ({"id": 1}, rpc.METHOD_NOT_FOUND),
    ],
)
def test_an_odd_request_is_refused(message: rpc.Message, code: int) -> None:
    async def play(bench: Bench) -> None:
        bench.control.handle(bench.client, message)
        assert bench.client.codes == [code]

    in_loop(play)


def test_a_client_with_too_many_unanswered_requests_is_closed() -> None:
    async def play(bench: Bench) -> None:
        for number in range(MOST_REQUESTS):
            bench.ask("refresh", number)
        ended = [bench.client.ended]
        bench.ask("refresh", MOST_REQUESTS)
        assert [*ended, bench.client.ended] == [False, True]
        bench.parts.go_on.set()
        await until(lambda: len(bench.client.answers) == MOST_REQUESTS)

    in_loop(play)


def test_a_client_that_reads_no_answers_is_closed() -> None:
    async def play(bench: Bench) -> None:
        bench.client.is_congested = True
        bench.ask("node")
        assert bench.client.ended

    in_loop(play)


def test_a_client_gets_the_events_it_follows_until_it_leaves() -> None:
    async def play(bench: Bench) -> None:
        bench.ask("follow", kinds=["line"], ref="p.A")
        await until(lambda: bool(bench.client.answers))
        bench.events.tell("line", "p.A", text="1")
        bench.events.tell("line", "p.B", text="2")
        bench.events.tell("line", "p.A", text="3")
        await until(lambda: len(bench.client.notes) == 2)
        assert [note["text"] for _, note in bench.client.notes] == ["1", "3"]
        bench.client.is_congested = True
        bench.events.tell("line", "p.A", text="4")
        await asyncio.sleep(0)
        bench.control.closed(bench.client)
        await until(lambda: not bench.events.is_watched("line"))
        assert len(bench.client.notes) == 2

    in_loop(play)


def test_the_priority_of_a_client_depends_on_its_requests() -> None:
    async def play(bench: Bench) -> None:
        assert bench.control._priority(bench.client) is Priority.UNKNOWN
        bench.ask("refresh")
        assert bench.control._priority(bench.client) is Priority.BUSY
        bench.parts.go_on.set()
        await until(lambda: bench.control._priority(bench.client) is Priority.IDLE)
        bench.control.close()
        assert bench.client.ended

    in_loop(play)


@pytest.mark.parametrize(
    ("group", "problem", "said"),
    [
        ("known", None, ""),
        ("known", PermissionError("not a member"), "still belongs to this user's group: not a member"),
        ("none", None, ""),
    ],
)
def test_the_socket_belongs_to_the_group_if_there_is_one(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    group: str,
    problem: Exception | None,
    said: str,
) -> None:
    given: list[tuple[Path, int, int]] = []

    def chown(path: Path, user: int, owner: int) -> None:
        given.append((path, user, owner))
        if problem is not None:
            raise problem

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(grp, "getgrnam", lambda name: {"known": grp.struct_group(("known", "x", 77, []))}[name])

    async def play(bench: Bench) -> None:
        endpoint = bench.control.listen(asyncio.get_running_loop(), folder, group)
        assert (folder / CONTROL_SOCKET).stat().st_mode & 0o777 == SOCKET_MODE
        endpoint.close()

    in_loop(play)
    assert given == ([(folder / CONTROL_SOCKET, -1, 77)] if group == "known" else [])
    assert said in caplog.text
    assert bool(said) == bool(caplog.records)
