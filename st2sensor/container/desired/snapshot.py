"""The registered content and the sensors that should run, as one value that each refresh replaces."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from st2sensor.errors import StorageError
from st2sensor.models import Instance, Overrides, Refusal, Registration, SensorType, Trigger, TriggerType
from st2sensor.packs.instances import accepts
from st2sensor.sharing.partition import Provider
from st2sensor.storage import sensors as stored
from st2sensor.storage.base import Storage
from st2sensor.storage.documents import COLLECTIONS
from st2sensor.storage.reader import Reader

LOG = logging.getLogger("st2sensor.storage")

OWN = "own"
"""Key of this node's sensors in a saved snapshot, next to the collections."""

NO_OVERRIDES = Overrides()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The content of storage, each kind by reference. Instances are among the sensors and the registrations.

    :param instances: the registrations of instances, by the references under which they run.
    :param own: the sensors in this node's partition; None for all sensors.
    :param batches: sensors with an unfinished batch; None if that is not known.
    """

    sensors: Mapping[str, SensorType] = field(default_factory=dict)
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    trigger_types: Mapping[str, TriggerType] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    own: frozenset[str] | None = None
    batches: frozenset[str] | None = field(default=None, compare=False)

    @property
    def listed(self) -> set[str]:
        """The registered sensors, and those whose content was refused from the start."""
        return self.sensors.keys() | {ref for ref, item in self.registrations.items() if item.was_never_accepted}

    def may_have_batches(self, ref: str) -> bool:
        """Return whether a sensor may have an unfinished batch."""
        return self.batches is None or ref in self.batches

    def desired(self, only: str | None) -> dict[str, str]:
        """Return the sensors that should run, each with a digest.

        :param only: run only this sensor, whichever node owns it and even if it is disabled; None for all of this
            node's sensors.
        """
        if only is None:
            mine = self.sensors.keys() if self.own is None else self.own
            chosen = [sensor for sensor in self.sensors.values() if sensor.enabled and sensor.ref in mine]
        else:
            chosen = [self.sensors[only]] if only in self.sensors else []
        return {sensor.ref: self._digest(sensor) for sensor in chosen}

    def overrides_of(self, ref: str) -> Overrides:
        """Return the overrides that an operator has set for a sensor."""
        registration = self.registrations.get(ref)
        return NO_OVERRIDES if registration is None else registration.overrides

    def needs_of(self, ref: str) -> tuple[str, ...]:
        """Return the labels that a node must have to run a sensor, where nodes share sensors."""
        return self.overrides_of(ref).runs_on or ()

    def triggers_of(self, ref: str) -> list[Trigger]:
        """Return the triggers of a sensor's trigger types. An instance may request only some of them."""
        sensor = self.sensors.get(ref)
        types = set() if sensor is None else set(sensor.trigger_types)
        wanted = self.instances[ref].triggers if ref in self.instances else None
        return [
            trigger
            for trigger in self.triggers.values()
            if trigger.type in types and accepts(wanted, trigger.type, trigger.parameters)
        ]

    def refusals_of(self, ref: str) -> tuple[str, ...]:
        """Return the reasons why some of a sensor's trigger types were refused."""
        sensor = self.sensors.get(ref)
        types = () if sensor is None else sensor.trigger_types
        return tuple(self.refusals[name].error for name in types if name in self.refusals)

    def missing_of(self, ref: str) -> tuple[str, ...]:
        """Return a sensor's trigger types that are not registered, except for those that were refused."""
        sensor = self.sensors.get(ref)
        types = () if sensor is None else sensor.trigger_types
        return tuple(name for name in types if name not in self.trigger_types and name not in self.refusals)

    def _digest(self, sensor: SensorType) -> str:
        """Return a digest of a sensor's document, which StackStorm's tools may change, and of its registered files."""
        registration = self.registrations.get(sensor.ref)
        files = registration.digest if registration else None
        return hashlib.sha256(repr((replace(sensor, id=None, enabled=True), files)).encode()).hexdigest()


def save(snapshot: Snapshot, path: Path) -> None:
    """Save a snapshot for a start without the database. Raises OSError, and ValueError if JSON cannot express it."""
    draft = path.with_suffix(".new")
    try:
        documents = {
            COLLECTIONS[kind].name: [{"_id": item.id, **COLLECTIONS[kind].to_document(item)} for item in known.values()]
            for kind, known in _kinds(snapshot).items()
        }
        saved = documents | {OWN: None if snapshot.own is None else sorted(snapshot.own)}
        text = json.dumps(saved, default=str, skipkeys=True)
    except RecursionError as exception:
        raise ValueError("it is nested too deeply") from exception
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path) -> Snapshot | None:
    """Return the snapshot that was saved last; None if there is no usable one."""
    try:
        documents = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(documents, dict):
        return None
    reader = Reader()
    own = documents.get(OWN)
    found = {kind: reader.read(kind, _listed(documents, COLLECTIONS[kind].name)) for kind in _kinds(Snapshot())}
    return Snapshot(
        sensors={item.ref: item for item in found[SensorType]},
        registrations={item.ref: item for item in found[Registration]},
        trigger_types={item.ref: item for item in found[TriggerType]},
        triggers={item.ref: item for item in found[Trigger]},
        refusals={item.ref: item for item in found[Refusal]},
        instances={item.runs_as: item for item in found[Instance]},
        own=frozenset(map(str, own)) if isinstance(own, list) else None,
    )


def _listed(documents: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = documents.get(name)
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _kinds(snapshot: Snapshot) -> dict[type[Any], Mapping[str, Any]]:
    return {
        SensorType: snapshot.sensors,
        Registration: snapshot.registrations,
        TriggerType: snapshot.trigger_types,
        Trigger: snapshot.triggers,
        Refusal: snapshot.refusals,
        Instance: snapshot.instances,
    }


def read(storage: Storage, partition: Provider) -> Snapshot:
    """Read a snapshot; blocks. Raises StorageError, StorageUnavailable, and ConfigError for unknown partitions."""
    found = stored.read(storage)
    owns = partition(storage)
    return Snapshot(
        sensors=found.sensors,
        registrations=found.registrations,
        trigger_types={item.ref: item for item in storage.all(TriggerType)},
        triggers={item.ref: item for item in storage.all(Trigger)},
        refusals={item.ref: item for item in storage.all(Refusal)},
        instances=found.instances,
        own=frozenset(filter(owns, found.sensors)),
        # Batches are read last: a container that had one of these sensors before has begun no batch since.
        batches=_batches(storage),
    )


def _batches(storage: Storage) -> frozenset[str] | None:
    """Return the sensors with unfinished batches; None if they cannot be read, such as without a majority of servers.

    The rest of the snapshot can be used without them.
    """
    try:
        return frozenset(batch.sensor for batch in storage.batches())
    except StorageError as exception:
        LOG.warning("cannot tell whether sensors have unfinished batches: %s", exception)
        return None
