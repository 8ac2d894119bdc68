"""`st2sensor replay` of what --record wrote, seen by an outside reader."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from st2sensor.cli.declarations.authoring import replay
from st2sensor.errors import RecordingError
from st2sensor.models import Trigger, TriggerType
from st2sensor.storage.sqlite import SqliteStorage
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Listener, Workspace, environment, forks

TICK = TriggerType(
    pack="sample",
    name="tick",
    payload_schema={"type": "object", "properties": {"count": {"type": "integer", "required": True}}},
)


@pytest.fixture
def listener(embedded: Workspace) -> Listener:
    """Of an embedded configuration, on which sample.tick is registered."""
    with closing(SqliteStorage(embedded.state / "st2.db")) as storage:
        storage.prepare()
        storage.put(TICK)
        storage.put(Trigger(pack=TICK.pack, name=TICK.name, type=TICK.ref))
    return embedded.listen()


def line(count: object, second: float = 0, **fields: object) -> dict[str, Any]:
    return {
        "time": f"2026-01-31T12:00:{second:09.6f}+00:00",
        "trigger": "sample.tick",
        "trigger_type": "sample.tick",
        "payload": {"count": count},
        "trace_context": {"id_": None, "trace_tag": f"tag-{count}"},
        "message_id": f"id-{count}",
        **fields,
    }


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "seen.jsonl"
    path.write_text("".join(f"{json.dumps(item)}\n" for item in lines))
    return path


def run(workspace: Workspace, *arguments: str) -> object:
    """The command's exit code."""
    return replay.main(list(arguments), obj=[str(workspace.config)], standalone_mode=False)


def test_what_was_recorded_is_published_in_order_as_it_was_but_for_its_ids(
    embedded: Workspace, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(embedded.folder, line(1), line(2, 0.2), line(3, 0.3, trigger_type="sample.other"))
    assert run(embedded, str(path), "--speed", "2", "--trigger", "sample.tick") == 0
    assert capsys.readouterr().out == "2 published, 0 skipped\n"
    seen = listener.wait_for("sample.tick", 2)
    assert [message.payload for message in seen] == [{"count": 1}, {"count": 2}]
    assert seen[0].body["trace_context"] == {"id_": None, "trace_tag": "tag-1"}
    assert seen[0].message_id not in (None, "id-1")

    assert run(embedded, str(path), "--at-once", "--keep-ids", "--force") == 0
    assert [message.message_id for message in listener.wait_for("sample.tick", 5)[2:]] == ["id-1", "id-2", "id-3"]


def test_what_is_unknown_or_does_not_fit_is_left_out_unless_forced(
    embedded: Workspace, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(embedded.folder, line("one"), line(2, trigger="sample.nothing"), line(3))
    assert run(embedded, str(path), "--at-once") == 1
    output = capsys.readouterr()
    assert output.out == "1 published, 2 skipped\n"
    assert "seen.jsonl:1 is skipped: the payload does not fit the payload_schema of sample.tick" in output.err
    assert "seen.jsonl:2 is skipped: trigger sample.nothing is not registered" in output.err
    assert [message.payload for message in listener.wait_for("sample.tick")] == [{"count": 3}]

    assert run(embedded, str(path), "--at-once", "--force") == 0
    assert listener.wait_for("sample.nothing")[0].payload == {"count": 2}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "seen.jsonl:2: not JSON: Expecting property name"),
        ("[]", "seen.jsonl:2: the line is not a JSON object"),
        ('{"time": "now"}', "seen.jsonl:2: the line lacks payload and trigger"),
        (json.dumps(line(1, time="now")), "seen.jsonl:2: 'now' is not a time"),
        (json.dumps(line(1, payload=[])), r"seen.jsonl:2: payload: \[\] is not a value that --record writes"),
        (json.dumps(line(float("nan"))), "seen.jsonl:2: NaN is not JSON"),
    ],
)
def test_nothing_is_published_of_a_file_with_a_malformed_line(embedded: Workspace, bad: str, said: str) -> None:
    path = write(embedded.folder, line(1))
    path.write_text(f"{path.read_text()}{bad}\n")
    with pytest.raises(RecordingError, match=said) as raised:
        run(embedded, str(path), "--force")
    assert raised.value.exit_code == 65
    assert not (embedded.state / "st2.db").exists()


def test_a_dry_run_of_a_recording_publishes_nothing_and_says_what_would_be(
    embedded: Workspace, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(embedded.folder, line(1), line("two", 30), line(3, 59))
    assert run(embedded, str(path), "--dry-run") == 1
    told = capsys.readouterr()
    assert told.out == "2 would be published, 1 skipped\n"
    assert told.err.startswith(f"{path}:2 is skipped: ")
    assert run(embedded, str(path), "--dry-run", "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["published"] == 3
    # The first trigger that arrives is one of this replay.
    assert run(embedded, str(write(embedded.folder, line(4))), "--at-once") == 0
    assert listener.wait_for("sample.tick")[0].payload == {"count": 4}


def test_tail_records_what_it_shows(embedded: Workspace, listener: Listener) -> None:
    record, output = embedded.folder / "tail.jsonl", embedded.folder / "output"
    published = write(embedded.folder, line(1))
    words = ["st2sensor", "--config-file", str(embedded.config), "tail", "--record", str(record)]
    with output.open("w") as stream:
        tail = forks().start(words, cwd=embedded.folder, env=environment(), stdout=stream.fileno(), stderr=2)

    def shown() -> bool:
        """Whether a line was, of what is published until it listens."""
        run(embedded, str(published), "--at-once")
        return "sample.tick  #tag-1  count=1" in output.read_text()

    try:
        eventually("the line", shown)
    finally:
        tail.send_signal(signal.SIGINT)
        assert tail.wait(SOON) == 0
    recorded = [json.loads(text) for text in record.read_text().splitlines()]
    assert len(recorded) == output.read_text().count("sample.tick")
    assert [item["payload"] for item in recorded] == [{"count": 1}] * len(recorded)
    seen = {item["message_id"] for item in recorded}
    eventually(
        "they are of those that were published",
        lambda: seen <= {message.message_id for message in listener.of("sample.tick")},
    )
