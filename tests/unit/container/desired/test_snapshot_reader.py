"""Reading the database's content, and keeping it for a start without the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.container.desired.snapshot_reader import SnapshotReader
from st2sensor.errors import StorageError
from st2sensor.models import Batch, SensorType
from st2sensor.storage.base import Storage
from st2sensor.storage.sqlite.storage import SqliteStorage

SENSOR = SensorType(pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    with closing(SqliteStorage(tmp_path / "st2.db")) as opened:
        yield opened


def reader_of(storage: Storage, path: Path, own: str = "p.S p.T") -> SnapshotReader:
    return SnapshotReader(storage, lambda _: own.split().__contains__, path)


def test_what_was_read_is_kept_in_a_file_that_needs_no_database(storage: SqliteStorage, tmp_path: Path) -> None:
    reader = reader_of(storage, tmp_path / "snapshot.json")
    assert reader.saved() is None
    reader.read()
    storage.put(SENSOR)
    storage.put_batch(Batch(id="b", sensor="p.S", name="n", expected=None, value="v", events=()))
    found = reader.read()
    assert reader.is_prepared
    assert found.own == frozenset({"p.S"})
    assert found.batches == frozenset({"p.S"})
    assert reader_of(storage, tmp_path / "snapshot.json").saved() == found


def test_sensors_of_other_nodes_are_not_its_own(storage: SqliteStorage, tmp_path: Path) -> None:
    reader = reader_of(storage, tmp_path / "snapshot.json", own="p.T")
    storage.prepare()
    storage.put(SENSOR)
    found = reader.read()
    assert found.own == frozenset()
    assert found.sensors.keys() == {"p.S"}


def test_the_file_is_written_only_when_something_has_changed(storage: SqliteStorage, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    reader = reader_of(storage, path)
    reader.read()
    path.unlink()
    reader.read()
    assert not path.exists()
    storage.put(SENSOR)
    reader.read()
    assert path.exists()


def test_a_file_that_cannot_be_written_is_told_and_tried_again(
    storage: SqliteStorage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missing" / "snapshot.json"
    reader = reader_of(storage, path)
    reader.read()
    assert "cannot save the registered content for a start without the database" in caplog.text
    path.parent.mkdir()
    reader.read()
    assert path.exists()


def test_batches_that_cannot_be_read_are_anybodys_and_the_rest_is_used(
    storage: SqliteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sensor: str | None = None) -> list[Batch]:
        raise StorageError(f"no majority for {sensor}")

    monkeypatch.setattr(storage, "batches", refuse)
    found = reader_of(storage, tmp_path / "snapshot.json").read()
    assert found.batches is None
    assert found.may_have_batches("p.S")
