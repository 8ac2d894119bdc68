"""`st2sensor drain`: move all sensors off a node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.cli.text import units
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import StillHeld
from st2sensor.settings import Settings
from st2sensor.sharing.overview import Overview
from st2sensor.storage.base import Leases

CHECK_INTERVAL = 0.5
"""Seconds between two checks of the sensors that the node still holds."""


def drain(
    config_files: Sequence[str], *, node: str, no_wait: bool, timeout: float | None, force: bool, json_output: bool
) -> None:
    """Drain a node. Raises NodeNotFound, StorageError, and StillHeld after the timeout."""
    settings = configured(config_files)
    with leases.opened(settings) as opened:
        overview = leases.overview(opened)
        if not force:
            leases.require_node(node, overview)
        _warn(settings, node, overview)
        opened.drain(node, drained=True)
        if not no_wait:
            _wait(opened, node, timeout)
        left = len(leases.held_by(node, leases.overview(opened)))
    line = f"{node} is drained" if not left else f"{node} is handing over {units.count(left, 'sensor')}"
    print_outcome(json_output, in_line(line), node=node, drained=True, sensors=left)


def _warn(settings: Settings, node: str, overview: Overview) -> None:
    """Warn of sensors that will stop because no other node may run them."""
    held, wanted = leases.held_by(node, overview), leases.wanted(settings)
    after = replace(overview, drained=overview.drained | {node})
    stopping = {
        ref: after.why_nobody(needs) for ref, needs in wanted.items() if ref in held and not after.may_run(needs)
    }
    for line in leases.by_reason(stopping):
        click.echo(in_line(f"warning: no node can take over {line}"), err=True)


def _wait(opened: Leases, node: str, timeout: float | None) -> None:
    """Wait until a node holds no sensor, and print how many are left. Raises StillHeld."""
    shown, until = 0, None if timeout is None else time.monotonic() + timeout
    while held := sorted(leases.held_by(node, leases.overview(opened))):
        if until is not None and time.monotonic() >= until:
            raise StillHeld(
                f"{node} still holds {leases.named(held)}; it is still handing over: st2sensor nodes shows the progress"
            )
        if len(held) != shown:
            shown = len(held)
            click.echo(in_line(f"{node} holds {units.count(shown, 'sensor')}"), err=True)
        time.sleep(CHECK_INTERVAL)
