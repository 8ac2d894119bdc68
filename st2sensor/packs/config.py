"""A pack's configuration: `<base_path>/configs/<pack>.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from st2sensor.packs.files import read


def config_file(configs: Path, pack: str) -> Path:
    """Where a pack's configuration is, if it has any."""
    return configs / f"{pack}.yaml"


def load(configs: Path, pack: str) -> dict[str, Any]:
    """A pack's configuration, empty when there is none. Raises ContentError."""
    path = config_file(configs, pack)
    if not path.exists():
        return {}
    file = read(path)
    if file.data is None:
        return {}
    if not isinstance(file.data, dict):
        raise file.error("must be a mapping of configuration keys to values")
    return file.data
