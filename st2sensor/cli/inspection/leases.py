"""The nodes that share sensors, as commands see them: in the database, from any host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from st2sensor.cli.text import units
from st2sensor.models import Registration, SensorType
from st2sensor.settings import Settings
from st2sensor.sharing.overview import Overview
from st2sensor.storage import open_leases, open_storage
from st2sensor.storage.base import Leases

LEASES_TIMEOUT = 10.0
"""Seconds that a server has to answer."""

NAMED = 3
"""Sensors that are told by name, before the rest is counted."""


@contextmanager
def opened(settings: Settings) -> Iterator[Leases]:
    """Raises StorageError."""
    with closing(open_leases(settings.database, LEASES_TIMEOUT)) as leases:
        leases.prepare()
        yield leases


def standing(leases: Leases) -> Overview:
    """Look once. Raises StorageError."""
    return Overview(
        members=leases.members(),
        drained=leases.drained(),
        leases={lease.sensor: lease for lease in leases.leases()},
    )


def wanted(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """The sensors that some node is to run, with the labels they need, by reference. Raises StorageError."""
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        needs = {item.ref: item.overrides.runs_on or () for item in storage.all(Registration)}
        return {sensor.ref: needs.get(sensor.ref, ()) for sensor in storage.all(SensorType) if sensor.enabled}


def named(refs: Sequence[str]) -> str:
    """Sensors in a line: the first few by name."""
    return ", ".join(refs[:NAMED]) + (f" and {len(refs) - NAMED} more" if len(refs) > NAMED else "")


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Lines that say why sensors do not run.

    :param reasons: by sensor.
    """
    grouped: dict[str, list[str]] = {}
    for ref, reason in sorted(reasons.items()):
        grouped.setdefault(reason, []).append(ref)
    return [f"{units.count(len(refs), 'sensor')}, {named(refs)}: {reason}" for reason, refs in grouped.items()]
