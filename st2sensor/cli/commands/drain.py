"""`st2sensor drain`, `undrain`: have a node hold no sensors, for others to run them, and take it back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.cli.text import units
from st2sensor.cli.text.outcome import report
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import NodeNotFound, StillHeld
from st2sensor.settings import Settings
from st2sensor.sharing.overview import Overview
from st2sensor.storage.base import Leases

LOOK_EVERY = 0.5
"""Seconds."""


def drain(
    config_files: Sequence[str], *, node: str, no_wait: bool, timeout: float | None, force: bool, json_output: bool
) -> None:
    settings = configured(config_files)
    with leases.opened(settings) as opened:
        standing = leases.standing(opened)
        if not force:
            _insist(node, standing)
        _warn(settings, node, standing)
        opened.drain(node, drained=True)
        if not no_wait:
            _wait(opened, node, timeout)
        left = len(_held(leases.standing(opened), node))
    line = f"{node} is drained" if not left else f"{node} hands over {units.count(left, 'sensor')}"
    report(json_output, in_line(line), node=node, drained=True, sensors=left)


def undrain(config_files: Sequence[str], *, node: str, json_output: bool) -> None:
    settings = configured(config_files)
    with leases.opened(settings) as opened:
        standing = leases.standing(opened)
        _insist(node, standing)
        opened.drain(node, drained=False)
    is_changed = node in standing.drained
    line = f"{node} takes sensors again" if is_changed else f"{node} was not drained"
    report(json_output, in_line(line), node=node, drained=False, changed=is_changed)


def _insist(node: str, standing: Overview) -> None:
    known = sorted({member.node for member in standing.members} | standing.drained)
    if node not in known:
        names = f"those that are: {', '.join(known)}" if known else "no container shares sensors: st2sensor nodes"
        raise NodeNotFound(f"no node is called {node}; {names}")


def _warn(settings: Settings, node: str, standing: Overview) -> None:
    """Say which sensors will stop, because no other node may run them."""
    held, wanted = _held(standing, node), leases.wanted(settings)
    after = replace(standing, drained=standing.drained | {node})
    stopping = {
        ref: after.why_nobody(needs) for ref, needs in wanted.items() if ref in held and not after.may_run(needs)
    }
    for line in leases.by_reason(stopping):
        click.echo(in_line(f"warning: nobody takes over {line}"), err=True)


def _wait(opened: Leases, node: str, timeout: float | None) -> None:
    """Until a node holds nothing, telling how many are left. Raises StillHeld."""
    told, until = 0, None if timeout is None else time.monotonic() + timeout
    while held := sorted(_held(leases.standing(opened), node)):
        if until is not None and time.monotonic() >= until:
            raise StillHeld(
                f"{node} still holds {leases.named(held)}; it goes on handing over: st2sensor nodes shows how far it is"
            )
        if len(held) != told:
            told = len(held)
            click.echo(in_line(f"{node} holds {units.count(told, 'sensor')}"), err=True)
        time.sleep(LOOK_EVERY)


def _held(standing: Overview, node: str) -> set[str]:
    """The sensors that a node holds, or held when it died, and nobody else has taken."""
    members = {member.id for member in standing.members if member.node == node}
    return {lease.sensor for lease in standing.leases.values() if lease.holder in members}
