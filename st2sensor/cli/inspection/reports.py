"""What is known of the sensors: from the running containers of this host, else from the database."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

from st2sensor.cli.inspection.control_client import ControlClient, all_reached, reached
from st2sensor.errors import ContainerAway, ContainerGone, SensorNotFound
from st2sensor.reports import PAGE
from st2sensor.settings import Settings
from st2sensor.system.lazy import resolve

OF_SENSORS = ("sensors",)
"""Checks that a list of sensors tells anyway."""

Report = dict[str, Any]
"""A SensorReport, as JSON has it."""


def every(settings: Settings) -> list[Report]:
    """Every sensor, by reference. Raises ContainerForbidden, and StorageError when the database is needed."""
    found: dict[str, Report] = {}
    reachable = False
    for path in all_reached(settings.container.state_dir):
        try:
            with closing(ControlClient(path)) as container:
                for report in sensors_of(container):
                    reachable = True
                    if report["pid"] is not None or report["ref"] not in found:
                        found[report["ref"]] = report
        except ContainerAway:
            continue
    return [found[ref] for ref in sorted(found)] if reachable else _registered(settings)


def sensors_of(container: ControlClient) -> list[Report]:
    """Every sensor of a container, page by page."""
    found: list[Report] = container.call("sensors")
    while found and len(found) % PAGE == 0:
        page = container.call("sensors", after=found[-1]["ref"])
        if not page:
            break
        found += page
    return found


def troubles_of(settings: Settings) -> list[str]:
    """What is wrong with what the containers of this host need, as the broker. Raises ContainerForbidden."""
    found: dict[str, None] = {}
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerGone), closing(ControlClient(path)) as container:
            for check in container.call("node")["checks"]:
                if not check["ok"] and check["name"] not in OF_SENSORS:
                    found[f"{check['name']}: {check['reason']}"] = None
    return list(found)


def one(settings: Settings, ref: str) -> tuple[Report, Report | None]:
    """One sensor, and the container that runs it, if there is one.

    Raises SensorNotFound, ContainerForbidden, StorageError.
    """
    try:
        with reached(settings.container.state_dir, ref) as container:
            report = container.call("sensor", ref=ref)
            node = container.call("node")
    except ContainerAway:
        node = None
        report = next((found for found in _registered(settings) if found["ref"] == ref), None)
    if report is None:
        raise SensorNotFound(
            f"sensor {ref} is not registered: check the name with st2sensor list, or run st2ctl reload"
        )
    return report, node


def _registered(settings: Settings) -> list[Report]:
    """What reads the database is loaded only where no container answers."""
    found: list[Report] = resolve("st2sensor.cli.inspection.registered:every")(settings)
    return found
