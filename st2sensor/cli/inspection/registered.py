"""Reports on sensors from the database, for hosts without a running container."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from st2sensor.cli.inspection import leases
from st2sensor.models import Refusal, Registration, SensorType
from st2sensor.reports import DISABLED, DOWN, ELSEWHERE, REFUSED, SensorReport
from st2sensor.settings import Settings
from st2sensor.sharing.overview import Overview
from st2sensor.storage import open_storage
from st2sensor.storage import sensors as stored
from st2sensor.trouble import judged

NOBODY = "no container is running; st2ctl start starts one"


def every(settings: Settings) -> list[SensorReport]:
    """Return a report on every sensor, sorted by reference. Raises StorageError."""
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        found = stored.read(storage)
        sensors, registrations = found.sensors, found.registrations
        refusals = {item.ref: item.error for item in storage.all(Refusal)}
    overview = _nodes(settings)
    refs = sorted(sensors.keys() | {ref for ref, item in registrations.items() if item.was_never_accepted})
    reports = [_report(ref, sensors.get(ref), registrations.get(ref), overview) for ref in refs]
    return [
        judged(replace(item, refused_types=tuple(refusals[ref] for ref in item.trigger_types if ref in refusals)))
        for item in reports
    ]


def _nodes(settings: Settings) -> Overview | None:
    if settings.container.sharing is None:
        return None
    with leases.opened(settings) as opened:
        return leases.overview(opened)


def _report(
    ref: str, sensor: SensorType | None, registration: Registration | None, overview: Overview | None
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
        poll_interval=sensor.poll_interval or None,
        trigger_types=sensor.trigger_types,
    )
    if not sensor.enabled:
        return report
    if overview is None or not overview.members:
        return replace(report, state=DOWN, reason=NOBODY)
    holder = overview.holder(ref)
    if holder is None:
        needs = (registration.overrides.runs_on if registration else None) or ()
        return replace(report, state=DOWN, reason=overview.why_nobody(needs))
    return replace(
        report,
        state=ELSEWHERE,
        reason=f"node {holder.node} holds it",
        node=holder.node,
        fence=overview.leases[ref].fence,
    )
