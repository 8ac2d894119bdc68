"""What is known of the sensors: from the running containers of this host, else from the database."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from st2sensor.cli import leases
from st2sensor.cli.container import Container, all_reached, reached
from st2sensor.errors import ContainerAway, SensorNotFound
from st2sensor.models import Registration, SensorType
from st2sensor.reports import DISABLED, DOWN, ELSEWHERE, REFUSED, SensorReport
from st2sensor.settings import Settings
from st2sensor.sharing.standing import Standing
from st2sensor.storage import open_storage

NOBODY = "no container runs on this host; st2ctl start starts it"

Report = dict[str, Any]
"""A SensorReport, as JSON has it."""


def every(settings: Settings) -> list[Report]:
    """Every sensor, by reference. Raises ContainerForbidden, and StorageError when the database is needed."""
    found: dict[str, Report] = {}
    reachable = False
    for path in all_reached(settings.container.state_dir):
        try:
            with closing(Container(path)) as container:
                for report in container.call("sensors"):
                    reachable = True
                    if report["pid"] is not None or report["ref"] not in found:
                        found[report["ref"]] = report
        except ContainerAway:
            continue
    return [found[ref] for ref in sorted(found)] if reachable else _registered(settings)


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
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        sensors = {sensor.ref: sensor for sensor in storage.all(SensorType)}
        registrations = {item.ref: item for item in storage.all(Registration)}
    standing = _standing(settings)
    refs = sorted(sensors.keys() | registrations.keys())
    return [asdict(_report(ref, sensors.get(ref), registrations.get(ref), standing)) for ref in refs]


def _standing(settings: Settings) -> Standing | None:
    if settings.container.sharing is None:
        return None
    with leases.opened(settings) as opened:
        return leases.standing(opened)


def _report(
    ref: str, sensor: SensorType | None, registration: Registration | None, standing: Standing | None
) -> SensorReport:
    refused = registration.error if registration else None
    if sensor is None:
        return SensorReport(ref=ref, state=REFUSED, reason=refused or "", refused=refused)
    report = SensorReport(
        ref=ref,
        state=DISABLED,
        reason=f"it is disabled; st2sensor enable {ref} enables it",
        refused=refused,
        file=sensor.artifact_uri.removeprefix("file://"),
        poll_interval=sensor.poll_interval,
        trigger_types=sensor.trigger_types,
    )
    if not sensor.enabled:
        return report
    if standing is None or not standing.members:
        return replace(report, state=DOWN, reason=NOBODY)
    holder = standing.holder(ref)
    if holder is None:
        needs = (registration.overrides.runs_on if registration else None) or ()
        return replace(report, state=DOWN, reason=standing.why_nobody(needs))
    return replace(
        report,
        state=ELSEWHERE,
        reason=f"node {holder.node} holds it",
        node=holder.node,
        fence=standing.leases[ref].fence,
    )
