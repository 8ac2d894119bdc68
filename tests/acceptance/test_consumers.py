"""Consuming events over HTTP, without an AMQP client."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.plugins.patience import LATER, SOON
from tests.support.schemathesis import finds_nothing
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

COUNTS = """
import time


class Counts(PollingSensor):
    number = 0

    def setup(self):
        self.number = int(self.sensor_service.get_value("number") or 0)
        self.since = time.time()

    def poll(self):
        for _ in range(5):
            self.number += 1
            payload = {"count": self.number, "run": self.since}
            self.sensor_service.dispatch("p.counted", payload, trace_tag=f"tag-{self.number}")
        self.sensor_service.set_value("number", self.number)
        self.sensor_service.dispatch("p.counted", {"count": "not a number"})
"""

SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}


class Api:
    """The API of a container."""

    def __init__(self, workspace: Workspace, extra: str = "") -> None:
        self.port = free_port()
        workspace.configure(f"http = 127.0.0.1:{self.port}\n{extra}")

    def url(self, path: str, **parameters: object) -> str:
        return f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"

    def get(self, path: str, **parameters: object) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(self.url(path, **parameters), timeout=SOON) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def follow(self, **parameters: object) -> Generator[tuple[str, Any], None, None]:
        """Yield the id and the data of server-sent events."""
        request = urllib.request.Request(self.url("/v1/events", **parameters), headers={"Accept": "text/event-stream"})
        with urllib.request.urlopen(request, timeout=SOON) as answer:
            identifier = ""
            for raw in answer:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    identifier = value
                elif name == "data":
                    yield identifier, json.loads(value)


def started(workspace: Workspace) -> Container:
    workspace.add_sensor(
        "p", "Counts", COUNTS, poll_interval=0.2, trigger_types=[{"name": "counted", "payload_schema": SCHEMA}]
    )
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log("the status page is at")
    return container


def counts(events: list[Any]) -> list[int]:
    return [event["data"]["payload"]["count"] for event in events]


def check(events: list[Any]) -> None:
    """Fail if an event of a sensor is missing or out of order, or came twice under two ids.

    A sensor that stops between dispatch() and set_value() dispatches its last counts again, as other events of its next
    run.
    """
    seen: dict[str, Any] = {}
    last: dict[str, tuple[float, int]] = {}
    for event in events:
        if event["id"] in seen:
            assert event == seen[event["id"]]
            continue
        seen[event["id"]] = event
        payload = event["data"]["payload"]
        run, count = last.get(event["source"], (0.0, 0))
        if payload["run"] == run:
            assert payload["count"] == count + 1
        else:
            assert payload["run"] > run
            assert 1 <= payload["count"] <= count + 1
        last[event["source"]] = payload["run"], payload["count"]


def test_a_consumer_gets_every_event_in_order(embedded: Workspace) -> None:
    api = Api(embedded)
    container = started(embedded)
    events: list[Any] = []
    cursor: dict[str, object] = {}
    while len(events) < 20:
        status, found = api.get("/v1/events", trigger="p.counted", limit=3, **cursor)
        assert status == 200
        assert len(found["events"]) <= 3
        events += found["events"]
        cursor = {"after": found["cursor"]}
    assert counts(events) == list(range(1, len(events) + 1))
    first = events[0]
    assert (first["type"], first["source"].rpartition("/")[2]) == ("p.counted", "p.Counts")
    assert first["data"]["trace_tag"] == "tag-1"

    # A cursor survives a restart.
    assert container.stop() == 0
    embedded.start().wait_for_log("the status page is at")
    _, found = api.get("/v1/events", trigger="p.counted", **cursor)
    assert counts(found["events"])[0] == len(events) + 1

    # The stream continues after any of its ids.
    stream = api.follow(trigger="p.counted")
    ids = [next(stream)[0] for _ in range(3)]
    stream.close()
    assert counts([next(api.follow(trigger="p.counted", after=ids[1]))[1]]) == [3]

    status, types = api.get("/v1/trigger-types")
    assert status == 200
    assert [item["payload_schema"] for item in types["trigger_types"] if item["ref"] == "p.counted"] == [SCHEMA]


def test_a_consumer_that_waits_is_answered_when_the_container_stops(embedded: Workspace) -> None:
    api = Api(embedded)
    container = started(embedded)
    cursor = eventually("there is an event", lambda: api.get("/v1/events")[1]["cursor"])
    path = api.url("/v1/events", after=cursor, trigger="p.never", wait=60).removeprefix(f"http://127.0.0.1:{api.port}")
    with ExitStack() as stack:
        waiting = [HTTPConnection("127.0.0.1", api.port, timeout=SOON) for _ in range(3)]
        for connection in waiting:
            stack.callback(connection.close)
            connection.request("GET", path)
        # Requests are read in turn: when this one is answered, the others wait.
        assert api.get("/v1/events", after=cursor, trigger="p.never", wait=0)[0] == 200
        container.stop()
        for connection in waiting:
            answer = connection.getresponse()
            assert answer.status == 200
            found = json.load(answer)
            assert found["events"] == []
            assert found["cursor"].partition(".")[0] == cursor.partition(".")[0]


def test_mistakes_are_explained(embedded: Workspace) -> None:
    api = Api(embedded)
    started(embedded)
    assert api.get("/v1/events", limit="many") == (400, {"error": "limit must be a whole number from 1 to 1000"})
    status, found = api.get("/v1/events", after="nonsense")
    assert (status, "not a cursor" in found["error"]) == (400, True), found
    status, found = api.get("/v1/events", after="00000000.5")
    assert status == 410
    assert api.get("/v1/events", after=found["oldest"])[0] == 200


def test_without_a_history_the_answer_says_what_is_needed(embedded: Workspace) -> None:
    api = Api(embedded, "[history]\nenable = false\n")
    started(embedded)
    status, found = api.get("/v1/events")
    assert (status, "[history] enable = true" in found["error"]) == (503, True)


def test_requests_need_the_token_of_the_page(embedded: Workspace) -> None:
    api = Api(embedded, "http_token = sesame\n")
    started(embedded)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(api.url("/v1/events"), timeout=SOON)
    with refused.value:
        assert refused.value.code == 401
    assert api.get("/v1/events", token="sesame")[0] == 200


@pytest.mark.soak(minutes=2)
def test_schemathesis_finds_nothing(embedded: Workspace) -> None:
    api = Api(embedded)
    container = started(embedded)
    # A text in the form of a cursor may be the cursor of another history: the document promises 410.
    accepted = "[checks]\npositive_data_acceptance.expected-statuses = [200, 410]\n"
    parameters = f"[parameters]\nwait = 0\n{accepted}"
    finds_nothing(api.url("/v1/openapi.json"), embedded.folder, parameters, "--max-examples", "200")
    assert "Traceback" not in container.log


class Consumer:
    """Consumes events, and keeps its cursor."""

    def __init__(self, api: Api) -> None:
        self.events: list[Any] = []
        self._api = api
        self._cursor: dict[str, object] = {}

    def consume(self, at_least: int) -> None:
        """Consume that many events more."""
        wanted = len(self.events) + at_least
        while len(self.events) < wanted:
            with suppress(OSError, ValueError):
                status, found = self._api.get("/v1/events", trigger="p.counted", wait=5, **self._cursor)
                assert status == 200, found
                self.events.extend(found["events"])
                self._cursor["after"] = found["cursor"]


def test_no_event_is_missing_however_often_the_container_is_killed(embedded: Workspace) -> None:
    api = Api(embedded)
    container = started(embedded)
    chance = random.Random(25)
    consumer = Consumer(api)
    for _ in range(3):
        consumer.consume(chance.randint(1, 12))
        container.process.kill()
        container.process.wait()
        container = embedded.start()
        container.wait_for_log("the status page is at", timeout=LATER)
    consumer.consume(10)
    check(consumer.events)
