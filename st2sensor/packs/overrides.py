"""What operators override: `<base_path>/overrides/_global.yaml` and `<pack>.yaml`, in StackStorm's form.

A pack's file goes over the global one, and in it `exceptions`, by class name, over `default`. As in StackStorm,
overrides count from the next registration on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from st2sensor.models import Overrides, SensorType
from st2sensor.packs.metadata import validated

GLOBAL = "_global"

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOverrides:
    """:param defaults: for every sensor of the pack; :param exceptions: for some, by class name."""

    defaults: Mapping[str, Any]
    exceptions: Mapping[str, Mapping[str, Any]]

    def apply(self, sensor: SensorType) -> tuple[SensorType, Overrides]:
        """The sensor as it is to be registered, and what is kept beside it."""
        values = {**self.defaults, **self.exceptions.get(sensor.name, {})}
        if isinstance(values.get("memory"), str):
            values["memory"] = _bytes(values["memory"])
        if "runs_on" in values:
            values["runs_on"] = tuple(values["runs_on"])
        metadata = {name: values.pop(name) for name in ("enabled", "poll_interval") if name in values}
        return replace(sensor, **metadata), Overrides(**values)


def load(folder: Path, pack: str) -> PackOverrides:
    """What is overridden for a pack's sensors. Raises ContentError."""
    everywhere, own = _read(folder / f"{GLOBAL}.yaml"), _read(folder / f"{pack}.yaml")
    exceptions = _sensors(own, "exceptions")
    return PackOverrides(
        defaults={**_sensors(everywhere, "default"), **_sensors(own, "default")},
        exceptions={name: values or {} for name, values in exceptions.items()},
    )


def _read(path: Path) -> Mapping[str, Any]:
    return (validated(path, "overrides.json").data or {}) if path.exists() else {}


def _sensors(overrides: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return (overrides.get(part) or {}).get("sensors") or {}


def _bytes(size: str) -> int:
    unit = UNITS.get(size[-1])
    return int(size) if unit is None else int(size[:-1]) * unit
