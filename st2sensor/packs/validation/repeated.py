"""Finds keys that occur twice in a mapping. YAML silently uses the last one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.discovery import metadata_files
from st2sensor.packs.registrable import RULES, SENSORS, TRIGGERS
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.packs.yaml_files import repeated


def check(pack: Pack, others: list[Path]) -> Iterator[Finding]:
    """Find repeated keys. :param others: further files of the pack, outside its folder."""
    for path in [*_files(pack), *others]:
        yield from (found(pack.ref, error, "duplicate-key", Severity.WARNING) for error in repeated(path))


def _files(pack: Pack) -> Iterator[Path]:
    yield from (pack.path / name for name in ("pack.yaml", config_schema.FILE, f"{pack.ref}.yaml.example"))
    for kind in (SENSORS, TRIGGERS, RULES):
        try:
            yield from metadata_files(pack, kind)
        except ContentError:
            # Another check reports that the folder cannot be read.
            continue
