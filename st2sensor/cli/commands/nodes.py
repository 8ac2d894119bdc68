"""`st2sensor nodes`: show the nodes that share sensors, their states, and the sensors that no node runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.reports.json_form import fields_of
from st2sensor.sharing.overview import DEAD, DRAINED, LEAVING, SILENT, UP, Overview

UNSHARED = (
    "sensors are not shared among nodes; to share them, set [sensorcontainer] partition_provider = name:shared "
    "in st2.conf"
)

COLOURS = {UP: "green", LEAVING: "cyan", DRAINED: "blue", SILENT: "yellow", DEAD: "red"}

COLUMNS = ("node", "host", "state", "sensors", "capacity", "labels", "lease", "version", "up since", "last seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A node as it is listed.

    :param sensors: number of sensors that the node holds.
    :param lease: seconds that the node's leases last without renewal.
    :param started: when the node started, in seconds since the epoch.
    :param seen: when the node last renewed its leases, in seconds since the epoch.
    """

    node: str
    host: str
    pid: int
    state: str
    sensors: int
    capacity: float
    labels: tuple[str, ...]
    lease: float
    version: str
    started: float | None
    seen: float | None


def nodes(config_files: Sequence[str], *, json_output: bool) -> None:
    """Print the nodes. Raises StorageError."""
    settings = configured(config_files)
    with leases.opened(settings) as opened:
        overview = leases.overview(opened)
    wanted = leases.wanted(settings)
    rows = rows_of(overview, wanted, time.time())
    unheld = {ref: overview.why_nobody(needs) for ref, needs in wanted.items() if overview.holder(ref) is None}
    is_shared = bool(overview.members) or settings.container.sharing is not None
    if json_output:
        # A container that does not share its sensors runs all of them, without leases.
        fields = {
            "shared": is_shared,
            "nodes": [fields_of(row) for row in rows],
            "sensors": len(wanted),
            "unheld": [{"ref": ref, "reason": reason} for ref, reason in sorted(unheld.items()) if is_shared],
            "drained": sorted(overview.drained),
        }
        click.echo(json.dumps(fields))
    elif not is_shared:
        click.echo(UNSHARED)
    else:
        print_nodes(console(), rows, len(wanted), unheld, overview.drained)


def rows_of(overview: Overview, wanted: Mapping[str, Any], now: float) -> list[Row]:
    """Return a row for each node.

    :param wanted: the sensors that should run, by reference.
    :param now: seconds since the epoch.
    """
    held = Counter(lease.holder for lease in overview.leases.values() if lease.sensor in wanted)
    return [
        Row(
            node=member.node,
            host=member.host,
            pid=member.pid,
            state=overview.state_of(member, now),
            sensors=held[member.id],
            capacity=member.capacity,
            labels=tuple(member.labels),
            lease=member.lease,
            version=member.version,
            started=member.started,
            seen=member.seen,
        )
        for member in overview.nodes()
    ]


def print_nodes(
    out: Console, rows: Sequence[Row], sensors: int, unheld: Mapping[str, str], drained: frozenset[str] | set[str]
) -> None:
    """Print a table of nodes, then the sensors that no node runs.

    :param sensors: number of sensors that should run.
    :param unheld: why no node runs a sensor, by sensor.
    :param drained: names of drained nodes; some may have no container.
    """
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            in_line(row.node),
            in_line(row.host),
            Text(row.state, COLOURS[row.state]),
            f"{row.sensors} of {sensors}",
            f"{row.capacity:g}",
            in_line(", ".join(row.labels)),
            units.span(row.lease),
            in_line(row.version),
            units.clock(row.started),
            units.ago(row.seen),
        )
    if rows:
        out.print(table)
    out.print(units.count(len(rows), "node"))
    for line in leases.by_reason(unheld):
        out.print(Text(in_line(f"no node runs {line}"), "red"))
    absent = sorted(drained - {row.node for row in rows})
    if absent:
        out.print(in_line(f"drained, but absent: {', '.join(absent)}"))
