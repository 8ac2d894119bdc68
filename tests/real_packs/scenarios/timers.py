"""Sensors that need nothing but time."""

from __future__ import annotations

from tests.real_packs.stage import Play, Running, Scenario, Stage
from tests.support.workspace import Workspace

COUNT = 41
"""The count in the datastore, from which a sensor continues."""


def system_monitoring(stage: Stage) -> Play:  # noqa: ARG001
    return Play(sensors={"System_Sensor": 1}, arrive=["new_proj.event1"])


def counter(key: str, trigger: str) -> Scenario:
    """A sensor that counts in the datastore.

    :param key: the counter's key.
    """

    def scenario(stage: Stage) -> Play:  # noqa: ARG001
        def prepare(workspace: Workspace) -> None:
            name = f"{trigger.partition('.')[0]}.HelloSensor:{key}"
            done = workspace.run("st2sensor", "--config-file", str(workspace.config), "key", "set", name, str(COUNT))
            assert done.returncode == 0, done.stderr

        def counts_on(running: Running) -> None:
            running.arrives(trigger)
            [seen, *_] = running.listener.of(trigger)
            assert seen.payload["count"] == COUNT + 1, f"counted {seen.payload['count']}, not {COUNT + 1}"

        return Play(sensors={"HelloSensor": None}, arrive=[trigger], prepare=prepare, stimulate=counts_on)

    return scenario


def incident_reduction(stage: Stage) -> Play:  # noqa: ARG001
    entries = [{"hostname": "host", "mount": "/var/log"}]
    return Play(
        sensors={"HostSensor": 1},
        config={"payload": {"entries": entries}},
        arrive=["incident_reduction.low_disk_space_sensor_event"],
    )


def msexchange(stage: Stage) -> Play:  # noqa: ARG001
    return Play(
        sensors={"AttachmentDirectoryMaintenanceSensor": 1}, arrive=["msexchange.attachment_directory_maintenance"]
    )


SCENARIOS: dict[str, Scenario] = {
    "3p--Sushant767--Stackstorm_system_monitoring": system_monitoring,
    "3p--IrekRomaniuk--st2_utils": counter("st2_utils.count", "st2_utils.event1"),
    "3p--zaenabafathima--stackstorm-demo-pack": counter("hello_st2.count", "hello_st2.event1"),
    "3p--bitovi-stackstorm-exchange--incident_reduction": incident_reduction,
    "msexchange": msexchange,
}
