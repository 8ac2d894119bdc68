"""The events of a node over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from st2sensor.history.event import State
from st2sensor.status import lives
from tests.unit.cli.commands.test_events import record
from tests.unit.history.test_writer import of, outcome
from tests.unit.status.test_server import Get, config_file, served

__all__ = ["config_file"]

BODY = json.dumps({"trigger": "linux.file", "payload": {"line": "one", "password": "hush"}, "trace_context": None})


def asked(config_file: Path, *paths: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []

    def ask(get: Get) -> None:
        found.extend(get(path) for path in paths)

    served(config_file, ask)
    return found


def test_events_are_filtered_and_their_secrets_masked(config_file: Path) -> None:
    record(config_file, outcome(1), of(outcome(2), sensor="linux.Other", body=BODY), outcome(3, state=State.DEAD))
    answers = asked(
        config_file,
        "/history",
        "/history?sensor=linux.Other&since=1.5&until=2.5",
        "/history?state=dead&state=unrouted&trigger=linux.file&trace=tag-1",
        f"/history?where={quote('payload.line=one')}&limit=1",
        f"/history/{2:032x}",
    )
    assert [status for status, _ in answers] == [200] * 5
    every, other, dead, last = [json.loads(text)["events"] for _, text in answers[:4]]
    assert len(every) == 3
    assert [event["payload"] for event in other] == [{"line": "one", "password": "********"}]
    assert [event["message_id"][-1] for event in dead] == ["3"]
    assert [event["message_id"][-1] for event in last] == ["3"]
    life = json.loads(answers[4][1])
    assert life["timeline"][0]["text"] == "dispatched"
    assert "hush" not in "".join(text for _, text in answers)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/history?limit=0", 400, "limit must be"),
        ("/history?since=now", 400, "now"),
        ("/history?since=1e300", 400, "since must be"),
        ("/history?state=lost", 400, "lost"),
        ("/history?where=x", 400, "is not a condition"),
        ("/history?colour=green", 400, "there is no parameter 'colour'"),
        ("/history/ffffffff", 404, "no event in"),
    ],
)
def test_mistakes_are_told(config_file: Path, path: str, status: int, told: str) -> None:
    record(config_file, outcome(1))
    [(found, text)] = asked(config_file, path)
    assert (found, told in text) == (status, True), text


def test_without_a_history_the_answer_says_so(config_file: Path) -> None:
    config_file.write_text("[history]\nenable = false\n" + config_file.read_text())
    assert asked(config_file, "/history")[0][0] == 503


def test_an_answer_is_bounded(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "BYTES_LIMIT", 1)
    record(config_file, outcome(1), outcome(2))
    [(_, text)] = asked(config_file, "/history")
    document = json.loads(text)
    assert ([event["message_id"][-1] for event in document["events"]], document["more"]) == (["2"], True)
