"""Everything that is wrong with a container that has just been started. Most troubles do not stop its start."""

from __future__ import annotations

import time

from st2sensor.cli.inspection.control_client import ControlClient, reached
from st2sensor.cli.inspection.reports import node_of, sensors_of
from st2sensor.cli.inspection.sensors import troubles_in
from st2sensor.errors import ContainerAway, ContainerForbidden, ContainerGone, RpcError
from st2sensor.reports import NodeReport
from st2sensor.settings import Settings

SETTLE_TIMEOUT = 10.0
"""Seconds to wait until each sensor has been set up, or has failed."""

ATTEMPT_TIMEOUT = 3.0
"""Seconds within which the container's first attempts to reach its servers usually succeed."""

SETTLE_INTERVAL = 0.05
"""Seconds between two looks."""

MOST_SENSORS = 5
"""Maximum number of sensors that are named."""


def first_troubles(settings: Settings) -> list[str]:
    """Return a line for each trouble of the running container. Wait until its sensors have started or failed.

    Returns nothing if the container cannot be asked.
    """
    try:
        with reached(settings.container.state_dir) as container:
            node = _settled(container)
            return [*troubles_in(node), *_of_sensors(container)]
    except (ContainerAway, ContainerForbidden, ContainerGone, RpcError):
        # The container may have ended by now, belong to another user, or be of another version.
        return []


def _settled(container: ControlClient) -> NodeReport:
    """Return the report of the container once all is well, or once it has had the time for that."""
    began = time.monotonic()
    while True:
        is_settled, node = container.call("settled"), node_of(container)
        waited = time.monotonic() - began
        if waited >= (ATTEMPT_TIMEOUT if is_settled else SETTLE_TIMEOUT) or (is_settled and not troubles_in(node)):
            return node
        time.sleep(SETTLE_INTERVAL)


def _of_sensors(container: ControlClient) -> list[str]:
    found = [f"{report.ref}: {report.troubles[0].text}" for report in sensors_of(container) if report.troubles]
    more = len(found) - MOST_SENSORS
    if more > 0:
        counted = "1 more sensor is" if more == 1 else f"{more} more sensors are"
        found[MOST_SENSORS:] = [f"{counted} in trouble; st2sensor list shows them"]
    return found
