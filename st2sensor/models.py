"""What the system talks about, as frozen values: sensor types, triggers, rules, keys. No behaviour beyond naming."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from st2sensor.portable import keyspace

SYSTEM_SCOPE, USER_SCOPE = keyspace.SYSTEM_SCOPE, keyspace.USER_SCOPE
CORE_PACK = "core"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack's folder, and the reference its content is registered under."""

    ref: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorType:
    """A registered sensor: a class in a file of a pack.

    :param artifact_uri: `file://` and the absolute path of the sensor's Python file.
    :param entry_point: `sensors.<module>.<Class>`.
    :param trigger_types: references of the trigger types it emits.
    :param poll_interval: seconds; None and 0 leave it to the class, as in StackStorm.
    """

    pack: str
    name: str
    artifact_uri: str
    entry_point: str
    description: str | None = None
    metadata_file: str | None = None
    trigger_types: tuple[str, ...] = ()
    poll_interval: float | None = None
    enabled: bool = True
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"

    @property
    def uid(self) -> str:
        return f"sensor_type:{self.pack}:{self.name}"

    @property
    def class_name(self) -> str:
        return self.entry_point.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerType:
    """What a sensor can emit. A schema that is None was not declared."""

    pack: str
    name: str
    description: str | None = None
    payload_schema: Schema | None = None
    parameters_schema: Schema | None = None
    metadata_file: str | None = None
    tags: tuple[Mapping[str, str], ...] | None = None
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"

    @property
    def uid(self) -> str:
        return f"trigger_type:{self.pack}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger type with the parameters a rule asks for; without parameters it has its type's name.

    :param type: reference of the trigger type.
    :param ref_count: how many rules ask for it; only triggers with parameters are counted, as in StackStorm.
    """

    pack: str
    name: str
    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ref_count: int = 0
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"

    @property
    def uid(self) -> str:
        canonical = json.dumps(dict(self.parameters), sort_keys=True)
        digest = hashlib.md5(canonical.encode(), usedforsecurity=False).hexdigest()
        return f"trigger:{self.pack}:{self.name}:{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """Links a trigger instance to what caused it."""

    id: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerInstance:
    """One event.

    :param trigger: a trigger's reference, or a trigger's fields as a mapping.
    :param tagged: whether the payload is in the form that `payload.pack` gives, because it holds more than JSON.
    """

    trigger: str | Mapping[str, Any]
    payload: Mapping[str, Any]
    trace_context: TraceContext | None = None
    tagged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule registered here: kept to know which trigger it asked for.

    :param trigger_type: reference of the trigger type it names.
    :param trigger: reference of the trigger it asked for.
    """

    pack: str
    name: str
    metadata_file: str
    trigger_type: str
    parameters: Mapping[str, Any]
    trigger: str
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What an operator sets for one sensor beyond its metadata; None leaves it to the container.

    :param start_timeout: seconds until setup() is entered.
    :param setup_timeout: seconds that setup() may take.
    :param poll_timeout: seconds that a poll() may take.
    :param trigger_timeout: seconds that add_trigger() and its like may take.
    :param memory: bytes that the sensor and what it has started may use.
    :param open_files: how many files it may have open.
    :param processes: how many processes and threads the sensor may have, with what it has started.
    :param nice: how far its priority is below the container's.
    :param run_as: the user that it runs as.
    :param log_level: the least severe level of its records that are logged, as in `DEBUG`.
    :param global_write: `allow` or `deny`: whether it may change keys that all sensors share.
    :param decrypt_global: `allow` or `deny`: whether it may decrypt keys that all sensors share.
    :param runs_on: labels that a node must have to run it, where nodes share sensors.
    """

    start_timeout: float | None = None
    setup_timeout: float | None = None
    poll_timeout: float | None = None
    trigger_timeout: float | None = None
    memory: int | None = None
    open_files: int | None = None
    processes: int | None = None
    nice: int | None = None
    run_as: str | None = None
    log_level: str | None = None
    global_write: str | None = None
    decrypt_global: str | None = None
    runs_on: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the registry knows of a sensor beyond StackStorm's document.

    :param digest: of metadata, configuration and code as last registered; None before the first success.
    :param error: why the newest content was refused; None when it was not.
    :param enabled: what the content last said; a sensor that is registered otherwise was set so by an operator.
    """

    pack: str
    name: str
    metadata_file: str
    digest: str | None = None
    error: str | None = None
    overrides: Overrides = Overrides()
    enabled: bool | None = None
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"

    @property
    def was_never_accepted(self) -> bool:
        """Whether its content has always been refused. One without a document otherwise is one that others deleted."""
        return self.digest is None and self.error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A trigger type whose newest declaration was refused; an older one may be registered.

    :param error: why, with the place.
    """

    pack: str
    name: str
    metadata_file: str
    error: str
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        return f"{self.pack}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """An entry of the datastore.

    :param secret: whether the value is encrypted.
    :param expire_timestamp: when the entry ceases to be, in UTC and whole milliseconds; None for never.
    """

    name: str
    value: str
    scope: str = SYSTEM_SCOPE
    secret: bool = False
    expire_timestamp: datetime | None = None
    id: str | None = field(default=None, compare=False)

    @property
    def uid(self) -> str:
        return f"key_value_pair:{self.scope}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of an entry of the datastore: None is none."""

    old: KeyValue | None
    new: KeyValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Triggers and a datastore entry that are stored together: once this is in storage it is carried out, whoever does
    that and however often.

    :param id: unique.
    :param sensor: reference of the sensor.
    :param name: of the entry, as it is stored.
    :param expected: the value that the new one replaces; None where there was no entry.
    :param events: the triggers on their way, as mappings.
    :param fence: of the lease that it is stored under; None where sensors are not shared.
    """

    id: str
    sensor: str
    name: str
    expected: str | None
    value: str
    events: tuple[Mapping[str, Any], ...]
    fence: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A container that shares sensors with others, from when it joins to when it leaves or is evicted.

    :param id: unique; a container that joins again has another.
    :param node: what it is called; :param host: where it runs; :param pid: its process.
    :param started: when it joined, and `seen` when it was last heard of, in seconds since the epoch: for people alone.
    :param capacity: how many sensors it takes, in proportion to others.
    :param labels: what it has that sensors may need.
    :param lease: seconds within which its sensors run elsewhere once it is dead.
    :param counter: grows with each renewal; :param token: what only the one that has made the last renewal knows.
    :param sensors: how many it holds.
    :param handing: whether it is about to hand sensors over; :param leaving: all of them.
    :param dead: whether it was evicted: it holds nothing any more.
    """

    id: str
    node: str
    host: str = ""
    pid: int = 0
    version: str = ""
    started: float = 0.0
    seen: float = 0.0
    capacity: float = 1.0
    labels: tuple[str, ...] = ()
    lease: float = 10.0
    counter: int = 0
    token: str = ""
    sensors: int = 0
    handing: bool = False
    leaving: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a member writes when it renews.

    :param counter: that it has seen; it becomes the next one.
    :param token: drawn for this renewal, so that it is known again when its answer is lost.
    :param sensors: see Member, as for the rest.
    """

    counter: int
    token: str
    sensors: int = 0
    handing: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds a sensor.

    :param holder: id of the member; None for nobody.
    :param fence: grows each time that somebody takes it; 0 where nobody ever has.
    :param has_batches: whether triggers and a cursor that were stored together wait to be carried out.
    """

    sensor: str
    holder: str | None = None
    fence: int = 0
    has_batches: bool = False


Entity = SensorType | TriggerType | Trigger | Rule | Registration | Refusal
"""What storage keeps by reference."""
