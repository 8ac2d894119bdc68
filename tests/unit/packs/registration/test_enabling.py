"""Sensors and instances that an operator enables and disables."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import SensorNotFound
from st2sensor.models import Instance, SensorType
from st2sensor.packs.registration.enabling import set_enabled
from st2sensor.storage.sensors import read
from st2sensor.storage.sqlite.storage import SqliteStorage
from tests.unit.packs.registration.test_sensors import Announced


def test_an_instance_does_what_its_class_does_until_it_is_set_itself(tmp_path: Path) -> None:
    with closing(SqliteStorage(tmp_path / "st2.db")) as storage:
        storage.prepare()
        storage.put(SensorType(pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S"))
        for name in ("a", "b"):
            storage.put(Instance(pack="p", name=f"S@{name}", digest="d"))

        def enabled() -> dict[str, bool]:
            return {ref: sensor.enabled for ref, sensor in read(storage).sensors.items()}

        announced = Announced()
        assert set_enabled(storage, announced, "p.S@a", enabled=False)
        assert announced.events == {"p.S": "update"}
        assert not set_enabled(storage, announced, "p.S@a", enabled=False)
        assert enabled() == {"p.S@a": False, "p.S@b": True}
        assert set_enabled(storage, announced, "p.S", enabled=False)
        assert set_enabled(storage, announced, "p.S@a", enabled=True)
        assert enabled() == {"p.S@a": True, "p.S@b": False}
        with pytest.raises(SensorNotFound, match="is not registered"):
            set_enabled(storage, announced, "p.S@none", enabled=True)
