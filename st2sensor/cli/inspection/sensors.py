"""Find the sensors: through the running containers of this host, or else in the database."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import closing, suppress

from st2sensor.cli.inspection.control_client import ControlClient, all_reached, reached
from st2sensor.cli.inspection.reports import node_of, sensor_of, sensors_of
from st2sensor.errors import ContainerAway, ContainerGone, SensorNotFound
from st2sensor.reports import DISABLED, DOWN, REFUSED, STATES, Check, NodeReport, SensorReport
from st2sensor.settings import Settings
from st2sensor.system.lazy import resolve

OF_SENSORS = ("sensors",)
"""Names of checks whose results a list of sensors already shows."""

BUSY = frozenset(STATES) - {DISABLED, REFUSED, DOWN}
"""States in which a sensor may run."""

CHECK_INTERVAL = 0.1
"""Seconds between two looks at sensors that are stopping."""

STOP_MARGIN = 5.0
"""Seconds that a container may need, besides its stop_timeout, to learn that a sensor is disabled and to end it."""


def every(settings: Settings) -> list[SensorReport]:
    """Return a report on every sensor, sorted by reference.

    Raises ContainerForbidden, and StorageError if the database is needed.
    """
    found: dict[str, SensorReport] = {}
    reachable = False
    for path in all_reached(settings.container.state_dir):
        try:
            with closing(ControlClient(path)) as container:
                for report in sensors_of(container):
                    reachable = True
                    if report.pid is not None or report.ref not in found:
                        found[report.ref] = report
        except ContainerAway:
            continue
    return [found[ref] for ref in sorted(found)] if reachable else _registered(settings)


def troubles_of(settings: Settings) -> list[str]:
    """Return a line for each service that this host's containers need and cannot use, such as the broker, for
    a history that cannot be written, and for each push target in trouble.

    Raises ContainerForbidden.
    """
    found: dict[str, None] = {}
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerGone), closing(ControlClient(path)) as container:
            found |= dict.fromkeys(troubles_in(node_of(container)))
    return list(found)


def troubles_in(node: NodeReport) -> list[str]:
    """Return a line for each trouble of a container that is not one of its sensors."""
    checks = [check for check in node.checks if not check.ok and check.name not in OF_SENSORS]
    # The reason of this check begins with the setting's name.
    lines = [check.reason if check.name == "status page" else f"{check.name}: {check.reason}" for check in checks]
    return [*lines, *filter(None, [node.history, *(report.trouble for report in node.push)])]


def checks_of(settings: Settings) -> list[Check] | None:
    """Return the checks of this host's containers; None if none is running. Raises ContainerForbidden."""
    found: list[Check] | None = None
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerGone), closing(ControlClient(path)) as container:
            found = [*(found or []), *node_of(container).checks]
    return found


def one(settings: Settings, ref: str) -> tuple[SensorReport, NodeReport | None]:
    """Return the report on one sensor, and on the container that runs it, if there is one.

    Raises SensorNotFound, ContainerForbidden, StorageError.
    """
    try:
        with reached(settings.container.state_dir, ref) as container:
            report = sensor_of(container, ref)
            node = node_of(container)
    except ContainerAway:
        node = None
        report = next((found for found in _registered(settings) if found.ref == ref), None)
    if report is None:
        raise SensorNotFound(
            f"sensor {ref} is not registered: check the name with st2sensor list, or run st2ctl reload"
        )
    return report, node


def still_running(settings: Settings, refs: Collection[str]) -> str | None:
    """Return one of these sensors that runs; None if none does. Wait for those that are disabled: they are stopping.

    Raises ContainerForbidden, StorageError.
    """
    until = time.monotonic() + settings.container.stop_timeout + STOP_MARGIN
    while running := [report.ref for report in every(settings) if report.ref in refs and report.state in BUSY]:
        for report in _registered(settings):
            if report.ref in running and report.state != DISABLED:
                return report.ref
        if time.monotonic() >= until:
            return running[0]
        time.sleep(CHECK_INTERVAL)
    return None


def _registered(settings: Settings) -> list[SensorReport]:
    """Read the database. The code for this is loaded only here, when no container answers."""
    found: list[SensorReport] = resolve("st2sensor.cli.inspection.registered:every")(settings)
    return found
