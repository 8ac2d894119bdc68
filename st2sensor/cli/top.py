"""`st2sensor top`: a live view of all sensors."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from st2sensor import config
from st2sensor.cli import moments
from st2sensor.cli.container import reached
from st2sensor.cli.invocation import console, examples
from st2sensor.cli.sensors import table

SORTS = {
    "state": lambda report: (not report["failing"], report["state"] == "running", report["ref"]),
    "triggers": lambda report: -report["triggers_per_minute"],
    "memory": lambda report: -(report["memory"] or 0),
    "cpu": lambda report: -(report["cpu"] or 0),
    "restarts": lambda report: -report["restarts"],
    "name": lambda report: report["ref"],
}

HEAD = 6
"""Lines of the screen that are no rows."""


@click.command(epilog=examples("st2sensor top", "st2sensor top --sort memory --interval 5", "st2sensor top --once"))
@click.option("--sort", type=click.Choice(list(SORTS)), default="state", show_default=True, help="What comes first.")
@click.option("--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds.")
@click.option("--once", is_flag=True, help="Show it once, whole, and end.")
@click.pass_obj
def top(config_files: tuple[str, ...], sort: str, interval: float, once: bool) -> None:
    """Watch all sensors of this host's container, until Ctrl-C."""
    out = console()
    with reached(config.load(config_files).container.state_dir) as container:
        if once:
            out.print(_screen(container.call("node"), container.call("sensors"), sort, out.width, None))
            return
        with Live(console=out, screen=True, auto_refresh=False) as live:
            try:
                while True:
                    room = max(1, out.size.height - HEAD)
                    screen = _screen(container.call("node"), container.call("sensors"), sort, out.width, room)
                    live.update(screen, refresh=True)
                    time.sleep(interval)
            except KeyboardInterrupt:
                return


def _screen(node: dict[str, Any], sensors: list[dict[str, Any]], sort: str, width: int, room: int | None) -> Group:
    """:param room: rows that fit; None for all."""
    running = moments.span(time.time() - node["started"])
    head = Text.assemble(
        (f"st2sensor {node['name']}", "bold"), f"  pid {node['pid']}, up {running}, {moments.size(node['memory'])}  "
    )
    head.append(node["summary"])
    waiting = Text(f"outbox {node['outbox_depth']}  ")
    for check in node["checks"]:
        waiting.append(
            f"{check['name']} {'ok' if check['ok'] else check['reason']}  ", "green" if check["ok"] else "red"
        )
    ordered = sorted(sensors, key=SORTS[sort])
    hidden = 0 if room is None else len(ordered) - room
    return Group(
        head, waiting, Text(), table(ordered[:room], width), Text(f"and {hidden} more" if hidden > 0 else "", "dim")
    )
