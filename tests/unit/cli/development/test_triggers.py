"""Triggers, as `st2sensor dev` shows them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from st2sensor import config
from st2sensor.cli.development.screen import Screen
from st2sensor.cli.development.triggers import Triggers
from st2sensor.models import SensorType, TriggerType
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.entry import Entry
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage


@pytest.fixture
def storage(config_file: Path) -> Iterator[Storage]:
    with closing(open_storage(config.load([str(config_file)]).database)) as opened:
        opened.prepare()
        yield opened


@pytest.mark.parametrize(
    ("sensor", "trigger", "reason", "shown"),
    [
        (
            "api.Status",
            "api.statsu",
            "trigger api.statsu is not registered",
            "trigger api.statsu is not registered; did you mean api.status? Or add it to trigger_types in "
            "sensors/status.yaml",
        ),
        (
            "api.Status@one",
            "api.new",
            "trigger api.new is not registered",
            "trigger api.new is not registered; add it to trigger_types in sensors/status.yaml",
        ),
        (
            "api.Gone",
            "api.new",
            "trigger api.new is not registered",
            "trigger api.new is not registered; add it to trigger_types in the sensor's metadata file",
        ),
        ("api.Status", "api.status", "count: is not an integer", "count: is not an integer"),
    ],
)
def test_an_event_of_an_unknown_type_is_shown_with_a_remedy(
    tmp_path: Path, storage: Storage, sensor: str, trigger: str, reason: str, shown: str
) -> None:
    storage.put(
        SensorType(
            pack="api",
            name="Status",
            artifact_uri="file:///s.py",
            entry_point="sensors.s.Status",
            metadata_file="sensors/status.yaml",
        )
    )
    storage.put(TriggerType(pack="api", name="status"))
    entry = Entry(
        message_id="1",
        sensor=sensor,
        trigger=trigger,
        trigger_type=trigger,
        created=0.0,
        body='{"trigger": "x", "payload": {}, "trace_context": null}',
    )
    outbox = tmp_path / "outbox.db"
    with closing(open_file(outbox, "full")) as connection:
        connection.execute(BURY, (*columns_of(entry), reason, 0.0, False))
    stream = io.StringIO()
    screen = Screen(Console(file=stream, width=200, highlight=False))
    Triggers(storage, outbox, screen, lambda _: None).show_invalid()
    assert stream.getvalue().rstrip().endswith(f"{shown}  {{}}")
