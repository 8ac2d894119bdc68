"""`st2sensor nodes`: which nodes share the sensors, how they are, and which sensors none of them runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.sharing.overview import DEAD, DRAINED, LEAVING, SILENT, UP, Overview

UNSHARED = (
    "sensors are not shared among nodes; they are by [sensorcontainer] partition_provider = name:shared in st2.conf"
)

COLOURS = {UP: "green", LEAVING: "cyan", DRAINED: "blue", SILENT: "yellow", DEAD: "red"}

COLUMNS = ("node", "host", "state", "sensors", "capacity", "labels", "lease", "version", "up since", "last seen")


def nodes(config_files: Sequence[str], *, json_output: bool) -> None:
    settings = configured(config_files)
    with leases.opened(settings) as opened:
        standing = leases.standing(opened)
    wanted = leases.wanted(settings)
    found = _found(standing, wanted)
    unheld = {ref: standing.why_nobody(needs) for ref, needs in wanted.items() if standing.holder(ref) is None}
    if json_output:
        told = [{"ref": ref, "reason": reason} for ref, reason in sorted(unheld.items())]
        click.echo(
            json.dumps({"nodes": found, "sensors": len(wanted), "unheld": told, "drained": sorted(standing.drained)})
        )
    elif not standing.members and settings.container.sharing is None:
        click.echo(UNSHARED)
    else:
        _print(found, len(wanted), unheld, standing)


def _found(standing: Overview, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    now = time.time()
    held = Counter(lease.holder for lease in standing.leases.values() if lease.sensor in wanted)
    return [
        {
            "node": member.node,
            "host": member.host,
            "pid": member.pid,
            "state": standing.state_of(member, now),
            "sensors": held[member.id],
            "capacity": member.capacity,
            "labels": member.labels,
            "lease": member.lease,
            "version": member.version,
            "started": member.started,
            "seen": member.seen,
        }
        for member in standing.nodes()
    ]


def _print(found: list[dict[str, Any]], sensors: int, unheld: Mapping[str, str], standing: Overview) -> None:
    out = console()
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for node in found:
        table.add_row(
            in_line(node["node"]),
            in_line(node["host"]),
            Text(node["state"], COLOURS[node["state"]]),
            f"{node['sensors']} of {sensors}",
            f"{node['capacity']:g}",
            in_line(", ".join(node["labels"])),
            units.span(node["lease"]),
            in_line(node["version"]),
            units.clock(node["started"]),
            units.ago(node["seen"]),
        )
    if found:
        out.print(table)
    out.print(units.count(len(found), "node"))
    for line in leases.by_reason(unheld):
        out.print(Text(in_line(f"nobody runs {line}"), "red"))
    away = sorted(standing.drained.difference(node["node"] for node in found))
    if away:
        out.print(in_line(f"drained, and not there: {', '.join(away)}"))
