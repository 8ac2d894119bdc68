"""`st2sensor top`: watch all sensors of this host's container."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import ControlClient, reached
from st2sensor.cli.inspection.cpu_shares import CpuShares
from st2sensor.cli.inspection.keys import pressed
from st2sensor.cli.inspection.reports import node_of, sensors_of
from st2sensor.cli.inspection.sensor_table import table
from st2sensor.cli.inspection.sorting import ordered
from st2sensor.cli.inspection.window import Window
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import ContainerAway, ContainerGone
from st2sensor.reports import NodeReport
from st2sensor.reports.json_form import fields_of
from st2sensor.sharing.overview import UP

AROUND = 2
"""Number of lines below the head that show no sensor: the names of the columns, and the hint."""


def top(config_files: Sequence[str], *, sort: str, interval: float, once: bool, json_output: bool) -> int:
    """Show the sensors until Ctrl-C, or once. Return the exit code.

    Raises ContainerAway, ContainerForbidden.
    """
    if json_output and not once:
        raise click.UsageError("--json needs --once")
    out = console()
    with reached(configured(config_files).container.state_dir) as container:
        try:
            if json_output:
                node, sensors = node_of(container), sensors_of(container)
                shown = [fields_of(item) for item in ordered(sensors, sort, {})]
                click.echo(json.dumps({"node": fields_of(node), "sensors": shown}))
            elif once or not out.is_terminal:
                node, sensors = node_of(container), sensors_of(container)
                rows, omitted = table(ordered(sensors, sort, {}), out.width, {})
                out.print(Group(_head(node), rows))
                if omitted:
                    out.print(Text(omitted, "dim"))
            else:
                _watch(container, out, sort, interval)
        except KeyboardInterrupt:
            return 0
        except ContainerGone:
            click.echo("the container has ended", err=True)
            return ContainerAway.exit_code
    return 0


def _watch(container: ControlClient, out: Console, sort: str, interval: float) -> None:
    """Show the sensors until Ctrl-C or q. Keys scroll at once, without a request to the container."""
    processor, window = CpuShares(), Window()
    with pressed() as keys, Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            node, sensors = node_of(container), sensors_of(container)
            shares = processor.shares(sensors, time.monotonic())
            due = time.monotonic() + interval
            while True:
                head = _head(node)
                room = out.size.height - len(out.render_lines(head, pad=False)) - AROUND
                window = window.fitted(len(sensors), room)
                shown = ordered(sensors, sort, shares)[window.first : window.first + window.room]
                rows, omitted = table(shown, out.width, shares)
                hints = (window.hint(len(sensors), keys.can_be_pressed), omitted)
                hint = Text("; ".join(filter(None, hints)), "dim", no_wrap=True, overflow="ellipsis")
                live.update(Group(head, rows, hint), refresh=True)
                pressed_now = keys.wait(due - time.monotonic())
                if "quit" in pressed_now:
                    return
                for key in pressed_now:
                    window = window.moved(key, len(sensors))
                if not pressed_now:
                    break


def _head(node: NodeReport) -> Group:
    """Return the lines above the sensors, which are about their container."""
    running = units.span(time.time() - node.started)
    head = Text.assemble(
        (f"st2sensor {in_line(node.name)}", "bold"),
        f"  pid {node.pid}, up {running}, {units.size(node.memory)}  {in_line(node.summary)}",
    )
    sharing = node.sharing
    if sharing is not None:
        drained = ", drained" if sharing.drained else ""
        nodes = units.count(sharing.nodes.get(UP, 0), "node")
        head.append(f"  holds {sharing.held} of {sharing.sensors}{drained}, {nodes} up")
    size = f" ({units.size(node.outbox_bytes)})" if node.outbox_depth else ""
    waiting = Text(f"outbox {node.outbox_depth}{size}  ")
    for check in node.checks:
        said = "ok" if check.ok else in_line(check.reason)
        waiting.append(f"{check.name} {said}  ", "green" if check.ok else "red")
    for note in node.notes:
        waiting.append(f"{in_line(note)}  ", "yellow")
    return Group(head, waiting, Text())
