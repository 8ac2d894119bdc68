"""The nodes that share sensors, read from the database on any host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from st2sensor.cli.text import units
from st2sensor.errors import NodeNotFound
from st2sensor.settings import Settings
from st2sensor.sharing.overview import Overview
from st2sensor.storage import open_leases, open_storage
from st2sensor.storage import sensors as stored
from st2sensor.storage.base import Leases

LEASES_TIMEOUT = 10.0
"""Seconds within which the database must answer."""

NAMED = 3
"""Maximum number of sensors that a line names; the others are only counted."""


@contextmanager
def opened(settings: Settings) -> Iterator[Leases]:
    """Open the leases. Raises StorageError."""
    with closing(open_leases(settings.database, LEASES_TIMEOUT)) as leases:
        leases.prepare()
        yield leases


def overview(leases: Leases) -> Overview:
    """Return all nodes and leases as they are now. Raises StorageError."""
    return Overview(
        members=leases.members(),
        drained=leases.drained(),
        leases={lease.sensor: lease for lease in leases.leases()},
    )


def wanted(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Return the sensors that should run, by reference, with the labels that each needs. Raises StorageError."""
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        found = stored.read(storage)
    needs = {ref: item.overrides.runs_on or () for ref, item in found.registrations.items()}
    return {ref: needs.get(ref, ()) for ref, sensor in found.sensors.items() if sensor.enabled}


def held_by(node: str, nodes: Overview) -> set[str]:
    """Return the sensors that a node holds, or held when it died if no other node has taken them."""
    members = {member.id for member in nodes.members if member.node == node}
    return {lease.sensor for lease in nodes.leases.values() if lease.holder in members}


def require_node(node: str, nodes: Overview) -> None:
    """Raise NodeNotFound if no container has this name and no node of this name is drained."""
    known = sorted({member.node for member in nodes.members} | nodes.drained)
    if node not in known:
        names = f"the nodes are: {', '.join(known)}" if known else "no container shares sensors: st2sensor nodes"
        raise NodeNotFound(f"no node is called {node}; {names}")


def named(refs: Sequence[str]) -> str:
    """Return sensors as text: the names of the first few, and how many more there are."""
    return ", ".join(refs[:NAMED]) + (f" and {len(refs) - NAMED} more" if len(refs) > NAMED else "")


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Return a line for each reason why sensors are not running, with the sensors.

    :param reasons: by sensor.
    """
    grouped: dict[str, list[str]] = {}
    for ref, reason in sorted(reasons.items()):
        grouped.setdefault(reason, []).append(ref)
    return [f"{units.count(len(refs), 'sensor')}, {named(refs)}: {reason}" for reason, refs in grouped.items()]
