"""Which triggers the demonstration shows."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from st2sensor.cli.commands import demo as module
from st2sensor.cli.commands.demo import EXIT, SPAWN, Chosen
from st2sensor.cli.events.instance import Instance
from st2sensor.datastore.change_triggers import CREATE


def shown(chosen: Chosen, kind: str, **payload: Any) -> str | None:
    instance = Instance(time="", trigger=kind, trigger_type=kind, payload=payload, trace_context=None, message_id=None)
    line = chosen.line(instance)
    return None if line is None else line.plain[len("00:00:00  ") :]


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("is_json", [True, False])
def test_a_stop_before_the_container_starts_is_no_failure(
    is_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    def interrupted(settings: object, *, quiet: bool) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr("st2sensor.cli.registration.register", interrupted)
    assert module.demo((), json_output=is_json) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    if is_json:
        assert {**json.loads(last), "time": ""} == {"kind": "stopped", "time": "", "exit_code": 0}
    else:
        assert last == "Everything has stopped."


def test_only_failures_and_the_starts_after_them_are_shown() -> None:
    chosen = Chosen()
    assert shown(chosen, SPAWN, id="A", pid=1) is None
    assert shown(chosen, SPAWN, id="A", pid=2) is None
    assert shown(chosen, EXIT, id="A", exit_code=1) == "A failed; it starts again"
    assert shown(chosen, SPAWN, id="B", pid=3) is None
    assert shown(chosen, SPAWN, id="A", pid=4) == "A runs again"


def test_changes_of_the_datastore_are_not_shown() -> None:
    assert shown(Chosen(), CREATE, object={}) is None


def test_long_values_come_last_because_the_line_may_be_cut() -> None:
    line = shown(Chosen(), "linux.file_watch.line", file_path="/a/very/long/path", file_name="path", line="hi")
    assert line == "linux.file_watch.line  line=hi  file_name=path  file_path=/a/very/long/path"
