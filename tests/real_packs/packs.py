"""Packs in a folder, read from outside: without the code that is being tested on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml")

REF = re.compile(r"[a-z0-9_]+")
"""Pattern of a folder's name that can be a pack's reference."""

TEST_CASE = "BaseSensorTestCase"
"""Base classes of tests of sensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFile:
    """A sensor's metadata, as far as it can be read."""

    name: str
    """The metadata file's name, in the pack's folder."""
    class_name: str
    entry_point: str
    trigger_types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPack:
    """A pack to test."""

    name: str
    """The folder's name: two packs may have the same ref."""
    ref: str
    path: Path
    sensors: tuple[SensorFile, ...]
    schema: Mapping[str, Any]
    """The schema of its configuration."""
    tests: tuple[Path, ...]
    """Files with tests of sensors."""


def find(folder: Path, names: list[str]) -> list[RealPack]:
    """Return the packs in a folder, by name; with names, only those. Raises LookupError if something is missing."""
    if not folder.is_dir():
        raise LookupError(f"there is no folder {folder}")
    found = [path for path in sorted(folder.iterdir()) if (path / "pack.yaml").is_file()]
    missing = sorted(set(names) - {path.name for path in found})
    if missing:
        raise LookupError(f"there is no such pack in {folder}: {', '.join(missing)}")
    return [_pack(path) for path in found if not names or path.name in names]


def _pack(path: Path) -> RealPack:
    metadata = yaml.safe_load((path / "pack.yaml").read_text())
    folder = path.name if REF.fullmatch(path.name) else None
    ref = str(metadata.get("ref") or folder or metadata["name"])
    schema = path / "config.schema.yaml"
    return RealPack(
        name=path.name,
        ref=ref,
        path=path,
        sensors=tuple(_sensor(ref, file) for file in sorted((path / "sensors").glob("*")) if file.suffix in SUFFIXES),
        schema=(yaml.safe_load(schema.read_text()) or {}) if schema.is_file() else {},
        tests=tuple(
            file for file in sorted((path / "tests").rglob("*.py")) if TEST_CASE in file.read_text(errors="replace")
        ),
    )


def _sensor(ref: str, file: Path) -> SensorFile:
    metadata = yaml.safe_load(file.read_text())
    triggers = metadata.get("trigger_types") or []
    return SensorFile(
        name=file.name,
        class_name=str(metadata.get("class_name")),
        entry_point=str(metadata.get("entry_point")),
        trigger_types=tuple(f"{ref}.{trigger['name']}" for trigger in triggers),
    )
