from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from st2sensor.cli.events import recording
from st2sensor.cli.events.instance import Instance
from st2sensor.cli.events.recording import UNTIMED
from st2sensor.errors import RecordingError

LINE: dict[str, Any] = {
    "time": "2026-01-31T12:00:00.000000Z",
    "trigger": "p.t",
    "trigger_type": "p.t",
    "payload": {"n": 1},
    "trace_context": None,
    "message_id": "1",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "seen.jsonl"


@pytest.mark.parametrize(
    ("wanted", "recorded"),
    [
        ((), ["p.t", "core.st2.webhook"]),
        (("core.st2.sensor.process_exit",), ["p.t", "core.st2.sensor.process_exit", "core.st2.webhook"]),
    ],
)
def test_internal_triggers_are_recorded_only_if_they_are_asked_for(
    file: Path, wanted: tuple[str, ...], recorded: list[str]
) -> None:
    types = ["p.t", "core.st2.sensor.process_exit", "core.st2.key_value_pair.update", "core.st2.webhook"]
    with recording.recorder(file, wanted) as record:
        for trigger_type in types:
            record(Instance(**{**LINE, "trigger": trigger_type, "trigger_type": trigger_type}))
    assert [instance.trigger_type for _, instance in recording.read(file)] == recorded


def test_line_separators_inside_of_texts_do_not_end_a_line(file: Path) -> None:
    texts = ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb"]
    lines = [json.dumps({**LINE, "payload": {"text": text}}, ensure_ascii=False) for text in texts[:3]]
    lines.append(json.dumps({**LINE, "payload": {"text": texts[3]}}))
    file.write_text("\n".join(lines))
    assert [(number, item.payload["text"]) for number, item in recording.read(file)] == [*enumerate(texts, 1)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_editors_add_is_skipped(file: Path, end: str) -> None:
    file.write_text(end.join(["\ufeff" + json.dumps(LINE), "", "  ", json.dumps(LINE), ""]), newline="")
    assert [number for number, _ in recording.read(file)] == [1, 4]


def test_unknown_keys_are_ignored_and_most_keys_may_be_missing(file: Path) -> None:
    written = [
        {**LINE, "note": "mine"},
        {"trigger": "p.t", "payload": {}},
        {"trigger": {"type": "p.t", "ref": "p.1"}, "payload": {}, "trace_context": {"trace_tag": "t"}},
    ]
    file.write_text("".join(json.dumps(item) + "\n" for item in written))
    (_, whole), (_, brief), (_, described) = recording.read(file)
    assert (whole.trigger, whole.message_id) == ("p.t", "1")
    assert (brief.trigger_type, brief.time, brief.message_id) == ("p.t", UNTIMED, None)
    assert (described.trigger_type, described.trace_tag) == ("p.t", "t")


def test_a_mark_of_the_version_is_no_trigger(file: Path) -> None:
    file.write_text(json.dumps({"st2sensor_recording": 1}) + "\n" + json.dumps(LINE))
    assert [number for number, _ in recording.read(file)] == [2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"trigger": "p.t", "payload": {"n": 1e999}}', "1: 1e999 is larger than any number that can be sent; correct"),
        ('{"trigger": "p.t", "payload": {"n": -1e999}}', "-1e999 is larger"),
        ('{"trigger": "p.t", "payload": {"n": NaN}}', "NaN is not JSON"),
        ('{"trigger": "p.t", "payload": {"n": -Infinity}}', "-Infinity is not JSON"),
        ('{"trigger": "p.t"}', "1: the line lacks payload; "),
        ('{"trigger": {}, "payload": {}}', "trigger: {} is not a value"),
        ('{"trigger": {"type": 5}, "payload": {}}', "trigger: its type is not text"),
        ('{"st2sensor_recording": 2}', "version 2 is not known; this st2sensor reads version 1"),
        ('{"trigger": "p.t", "payload": ' + '{"a": ' * 2000 + "1" + "}" * 2001, "seen.jsonl:1: "),
        ("[" * 100_000, "seen.jsonl:1: "),
        ("{\n", "write each trigger on one line, as jq -c does"),
        ("5" * 5000, "seen.jsonl:1: "),
    ],
)
def test_a_malformed_line_is_told_with_its_place(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(RecordingError) as caught:
        recording.read(file)
    assert said in str(caught.value)
