"""The HTTP server, with a stand-in for the reporter. Answers match the schema, and need access."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from st2sensor import config
from st2sensor.api.consumers import Consumers
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.interface import PageSources
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.reports import Check, Notice, SensorReport, Trouble
from st2sensor.reports.json_form import fields_of
from st2sensor.status import server
from st2sensor.status.lives import Lives
from st2sensor.status.server import Server
from tests.plugins.patience import SOON
from tests.support.control_peer import node, report
from tests.support.servers.ports import free_port
from tests.support.status_schema import check
from tests.unit.cli.commands.test_dead_letters import bury

GOOD = Check(name="broker", ok=True, since=1.0, reason="")
BAD = Check(name="database", ok=False, since=1.0, reason="no answer")

Answer = tuple[int, str]
Get = Callable[..., Answer]


SENSOR = report(
    since=1.0, last_exit=Notice(at=2.0, text="x"), troubles=(Trouble(kind="t", level="error", text="x", since=3.0),)
)


class Sensors:
    """Stands for the Reporter, and for RecentLogs."""

    def __init__(self, *checks: Check) -> None:
        self._checks = checks

    async def node(self, sensors: object = None) -> Any:  # noqa: ARG002
        return node(checks=self._checks)

    async def sensors(self) -> list[SensorReport]:
        return [SENSOR]

    async def sensor(self, ref: str) -> SensorReport | None:
        return SENSOR if ref == "p.S" else None

    def throughput(self) -> tuple[int, int]:
        return 0, 0

    def lines(self, ref: str) -> list[dict[str, Any]]:
        return [{"at": 1.0, "level": "INFO", "text": f"a line of {ref}"}]

    def checks(self) -> tuple[Check, ...]:
        return self._checks

    def notes(self) -> tuple[str, ...]:
        return ("a note",)


def served(config_file: Path, ask: Callable[[Get], None], *checks: Check, token: str | None = None) -> None:
    """Run a server, and run a test's requests to it in a thread."""
    port = free_port()
    with config_file.open("a") as file:
        file.write(f"http = 127.0.0.1:{port}\n" + (f"http_token = {token}\n" if token else ""))
    whole = config.load([str(config_file)])
    settings = whole.container

    def get(path: str, **headers: str) -> Answer:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SOON) as answer:
                # The stream of events has no end: its first two lines are the first message.
                text = answer.readline() + answer.readline() if path.startswith("/events") else answer.read()
                return answer.status, text.decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def run() -> None:
        sensors: Any = Sensors(*checks)
        made = Server(
            settings,
            PageSources(
                reporter=sensors,
                events=Broadcast(),
                recent_logs=sensors,
                state_dir=settings.state_dir,
                blocking=asyncio.to_thread,
            ),
            Consumers(None, Catalogue(), needs_token=False),
            Lives(whole, settings.state_dir),
        )
        await made.open()
        try:
            assert made._listening is not None
            await made._listening
            await asyncio.to_thread(ask, get)
        finally:
            await made.close()

    asyncio.run(run())


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "st2.conf"
    path.write_text("[database]\nconnection = sqlite://\n[sensorcontainer]\nstate_dir = state\n")
    return path


def test_json_matches_the_schema(config_file: Path) -> None:
    def ask(get: Get) -> None:
        for path, kind in (
            ("/sensors", "whole"),
            ("/sensors/p.S", "sensor"),
            ("/sensors/p.S/logs", "logs"),
            ("/ready", "ready"),
        ):
            status, text = get(path)
            assert status == 200
            check(kind, json.loads(text))
        event, data = get("/events")[1].splitlines()
        assert event == "event: whole"
        check("opening", json.loads(data.removeprefix("data: ")))
        assert json.loads(get("/sensors/p.S")[1]) == fields_of(SENSOR), "as in show --json"
        assert json.loads(get("/sensors")[1])["sensors"] == [fields_of(SENSOR)]
        assert get("/sensors/p.Other") == (404, "sensor p.Other is not registered\n")

    served(config_file, ask, GOOD)


@pytest.mark.parametrize(("checks", "status"), [([GOOD], 200), ([GOOD, BAD], 503)])
def test_a_container_is_ready_if_all_checks_are_good(config_file: Path, checks: list[Check], status: int) -> None:
    def ask(get: Get) -> None:
        code, text = get("/ready")
        shown = json.loads(text)
        assert code == status
        assert shown["ready"] is (status == 200)
        assert [item["name"] for item in shown["checks"]] == [item.name for item in checks]
        assert shown["notes"] == ["a note"]

    served(config_file, ask, *checks)


def test_without_a_token_only_local_names_are_answered(config_file: Path) -> None:
    def ask(get: Get) -> None:
        for host in ("localhost", "127.0.0.1:80", "[::1]:80"):
            assert get("/sensors", Host=host)[0] == 200, host
        for host in ("evil.example", "10.0.0.1", "localhost.evil.example"):
            assert get("/sensors", Host=host)[0] == 401, host
        assert get("/live", Host="evil.example") == (200, "alive\n")
        assert json.loads(get("/ready", Host="evil.example")[1]) == {"ready": True}

    served(config_file, ask, GOOD)


def test_a_token_is_taken_from_header_query_or_cookie(config_file: Path) -> None:
    def ask(get: Get) -> None:
        for path in ("/", "/sensors", "/sensors/p.S", "/metrics", "/events", "/page.js"):
            assert get(path)[0] == 401, path
            assert get(path, Authorization="Bearer wrong")[0] == 401, path
        assert get("/sensors", Authorization="Bearer t0ken")[0] == 200
        assert get("/sensors?token=t0ken")[0] == 200
        assert get("/sensors", Cookie="st2sensor=t0ken")[0] == 200
        assert json.loads(get("/ready")[1]) == {"ready": True}

    served(config_file, ask, GOOD, token="t0ken")


def test_dead_letters_are_told_without_their_payloads(config_file: Path) -> None:
    def ask(get: Get) -> None:
        for path, ids in (("/dead-letters", [3, 2, 1]), ("/dead-letters?sensor=p.S", [3, 2, 1])):
            text = get(path)[1]
            check("letters", json.loads(text))
            assert [letter["id"] for letter in json.loads(text)["dead_letters"]] == ids
            assert "secret" not in text
        assert json.loads(get("/dead-letters?sensor=p.Other")[1]) == {"dead_letters": [], "more": False}

    bury(config_file, *['{"secret": 1}'] * 3)
    served(config_file, ask)


def test_without_an_outbox_there_is_a_reason(config_file: Path) -> None:
    def ask(get: Get) -> None:
        status, text = get("/dead-letters")
        assert status == 503
        assert "there is no outbox" in text

    served(config_file, ask)


def test_the_newest_dead_letters_are_told(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LETTERS_LIMIT", 2)

    def ask(get: Get) -> None:
        found = json.loads(get("/dead-letters")[1])
        assert [letter["id"] for letter in found["dead_letters"]] == [3, 2]
        assert found["more"] is True

    bury(config_file, "{}", "{}", "{}")
    served(config_file, ask)


def test_every_file_that_the_page_loads_is_served(config_file: Path) -> None:
    def ask(get: Get) -> None:
        wanted, seen = ["page.html", "page.js", "page.css"], set[str]()
        while wanted:
            name = wanted.pop()
            seen.add(name)
            status, text = get("/" if name == "page.html" else f"/{name}")
            assert status == 200, name
            wanted += [found for found in re.findall(r'"\./([a-z]+\.js)"', text) if found not in seen]
        folder = resources.files("st2sensor.status").joinpath("page")
        assert seen == {item.name for item in folder.iterdir()}

    served(config_file, ask)
