from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, SensorType
from st2sensor.packs.code import location
from st2sensor.settings import Content

SENSOR = SensorType(pack="p", name="A", artifact_uri="file:///packs/p/sensors/a.py", entry_point="sensors.a.A")


def digest(pack: Path) -> str:
    content = Content(pack_paths=(), configs_path=pack, virtualenvs_path=pack / "none", overrides_path=pack)
    return location.digest(SENSOR, Overrides(), pack, content, None)


def test_the_digest_is_of_code_alone_and_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sensors = tmp_path / "sensors"
    (sensors / "inner").mkdir(parents=True)
    (sensors / "a.py").write_text("1")
    first = digest(tmp_path)
    os.mkfifo(sensors / "pipe.py")
    (sensors / "b.py").mkdir()
    (sensors / "inner" / "above").symlink_to(sensors)
    assert digest(tmp_path) == first
    (sensors / "inner" / "c.py").write_text("1")
    assert digest(tmp_path) != first
    os.truncate(sensors / "a.py", 10**12)
    with pytest.raises(ContentError, match=r"a\.py: cannot be read: it has more than 16,000,000 bytes"):
        digest(tmp_path)
    monkeypatch.setattr(location, "MOST_FILES", 3)
    with pytest.raises(ContentError, match="holds more than 3 files"):
        digest(tmp_path)
