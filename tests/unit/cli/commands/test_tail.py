"""What `st2sensor tail` says before it waits."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.commands import tail
from st2sensor.models import TriggerType
from st2sensor.storage import open_storage
from tests.support.control_peer import run


def test_a_trigger_that_is_not_registered_is_told_before_the_wait(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        storage.put(TriggerType(pack="ops", name="count"))
    monkeypatch.setattr(tail, "_follow_exchange", lambda *_: None)
    previous = signal.getsignal(signal.SIGTERM)
    try:
        told = run(config_file, "tail", "--trigger", "ops.cont", "--trigger", "ops.count")
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert told.exit_code == 0
    assert told.stderr == "trigger ops.cont is not registered; did you mean ops.count?\n"
