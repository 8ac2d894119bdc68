"""The sensors as they run: registered classes, or the instances of a class in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from st2sensor.models import Instance, Registration, SensorType
from st2sensor.storage.base import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """Sensors and their registrations, by reference.

    :param instances: the instances of the classes, by the reference under which each runs.
    """

    sensors: Mapping[str, SensorType]
    registrations: Mapping[str, Registration]
    instances: Mapping[str, Instance]


def read(storage: Storage) -> Sensors:
    """Read all sensors. Raises StorageError."""
    return expanded(storage.all(SensorType), storage.all(Registration), storage.all(Instance))


def find(storage: Storage, ref: str) -> SensorType | None:
    """Return the sensor that runs under a reference, or None. Raises StorageError."""
    return read(storage).sensors.get(ref)


def expanded(
    classes: Iterable[SensorType], registrations: Iterable[Registration], instances: Iterable[Instance]
) -> Sensors:
    """Return the sensors that run of some registered classes. A class with instances runs only if they include the
    default."""
    sensors = {item.ref: item for item in classes}
    registered = {item.ref: item for item in registrations}
    found = {item.runs_as: item for item in instances if item.of_class in sensors}
    runs: dict[str, SensorType] = {}
    records: dict[str, Registration] = {}
    for ref, item in found.items():
        of_class, record = sensors[item.of_class], registered.get(item.of_class)
        records[ref] = _registration(item, ref, of_class, record)
        if item.digest is not None:
            runs[ref] = replace(
                of_class,
                name=_name(ref),
                id=item.id if ref == item.ref else of_class.id,
                poll_interval=item.poll_interval,
                enabled=of_class.enabled if item.enabled is None else item.enabled,
            )
    replaced = {item.of_class for item in found.values()}
    return Sensors(
        sensors={**{ref: item for ref, item in sensors.items() if ref not in replaced}, **runs},
        registrations={**{ref: item for ref, item in registered.items() if ref not in replaced}, **records},
        instances=found,
    )


def _registration(item: Instance, ref: str, of_class: SensorType, record: Registration | None) -> Registration:
    """Return the registration of an instance, which shares the content of its class."""
    digests = (None if record is None else record.digest, item.digest)
    return Registration(
        pack=item.pack,
        name=_name(ref),
        id=item.id,
        metadata_file=of_class.metadata_file or "",
        digest=None if item.digest is None else ".".join(filter(None, digests)),
        error=item.error or (None if record is None else record.error),
        overrides=item.overrides,
        enabled=item.declared,
    )


def _name(ref: str) -> str:
    return ref.partition(".")[2]
