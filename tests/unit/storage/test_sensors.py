"""What runs of a class and its instances."""

from __future__ import annotations

from st2sensor.models import Instance, Overrides, Registration, SensorType
from st2sensor.storage.sensors import expanded

CLASS = SensorType(
    pack="p",
    name="S",
    artifact_uri="file:///s.py",
    entry_point="sensors.s.S",
    metadata_file="sensors/s.yaml",
    poll_interval=5,
)
RECORD = Registration(pack="p", name="S", metadata_file="sensors/s.yaml", digest="c", enabled=True)


def instance(name: str, digest: str | None = "i", **fields: object) -> Instance:
    return Instance(pack="p", name=f"S@{name}", digest=digest, **fields)  # type: ignore[arg-type]


def test_a_class_without_instances_runs_as_it_is() -> None:
    found = expanded([CLASS], [RECORD], [])
    assert (found.sensors, found.registrations) == ({"p.S": CLASS}, {"p.S": RECORD})


def test_instances_take_the_place_of_their_class() -> None:
    one = instance("one", overrides=Overrides(nice=3), poll_interval=9, enabled=False)
    found = expanded([CLASS], [RECORD], [one, instance("two")])
    assert set(found.sensors) == set(found.registrations) == {"p.S@one", "p.S@two"}
    runs = found.sensors["p.S@one"]
    assert (runs.ref, runs.class_name, runs.poll_interval, runs.enabled) == ("p.S@one", "S", 9, False)
    assert found.sensors["p.S@two"].enabled
    record = found.registrations["p.S@one"]
    assert (record.digest, record.overrides.nice, record.metadata_file) == ("c.i", 3, "sensors/s.yaml")


def test_the_default_is_the_class_itself() -> None:
    found = expanded([CLASS], [RECORD], [instance("default", poll_interval=2), instance("one")])
    assert set(found.sensors) == {"p.S", "p.S@one"}
    assert found.sensors["p.S"].poll_interval == 2


def test_an_instance_that_was_never_accepted_is_listed_and_does_not_run() -> None:
    found = expanded([CLASS], [RECORD], [instance("bad", None, error="it is odd")])
    assert not found.sensors
    assert found.registrations["p.S@bad"].was_never_accepted


def test_an_instance_without_a_class_does_not_run() -> None:
    found = expanded([], [], [instance("one")])
    assert (found.sensors, found.registrations, found.instances) == ({}, {}, {})
