"""Registered sensors, and operators' overrides for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from st2sensor.models.named import Named
from st2sensor.portable.keyspace import INSTANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorType(Named):
    """A registered sensor: a class in a file of a pack.

    :param artifact_uri: `file://` and the absolute path of the sensor's Python file.
    :param entry_point: `sensors.<module>.<Class>`.
    :param trigger_types: references of the trigger types that it emits.
    :param poll_interval: seconds between two polls; if None or 0, the class decides, as in StackStorm.
    """

    artifact_uri: str
    entry_point: str
    description: str | None = None
    metadata_file: str | None = None
    trigger_types: tuple[str, ...] = ()
    poll_interval: float | None = None
    enabled: bool = True

    @property
    def uid(self) -> str:
        return f"sensor_type:{self.pack}:{self.name}"

    @property
    def class_name(self) -> str:
        return self.entry_point.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """An operator's expectations of a sensor. None expects nothing.

    :param event: seconds within which it should dispatch an event.
    :param poll: seconds within which a poll() should return without an error.
    """

    event: float | None = None
    poll: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """An operator's settings for one sensor, in addition to its metadata. For None, the container's setting applies.

    :param start_timeout: seconds within which setup() must be called.
    :param setup_timeout: seconds that setup() may take.
    :param poll_timeout: seconds that poll() may take.
    :param trigger_timeout: seconds that a call such as add_trigger() may take.
    :param memory: bytes that the sensor may use, together with the processes that it has started.
    :param open_files: number of files it may have open.
    :param processes: number of processes and threads that the sensor may have in all.
    :param nice: number by which its niceness exceeds the container's.
    :param run_as: the user it runs as.
    :param log_level: the least severe level of its log records that is logged, for example `DEBUG`.
    :param global_write: `allow` or `deny`: whether it may change the keys that all sensors share.
    :param decrypt_global: `allow` or `deny`: whether it may decrypt the keys that all sensors share.
    :param payloads: `full` or `none`: whether the history keeps its events with their payloads.
    :param runs_on: labels that a node must have to run it, if nodes share sensors.
    :param expect: how long it may be quiet before it counts as silent.
    :param limits: limits for its events, in the form that `SensorLimits` takes.
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
    payloads: str | None = None
    runs_on: tuple[str, ...] | None = None
    expect: Expectation | None = None
    limits: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(Named):
    """The registry's record of a sensor, in addition to StackStorm's document.

    :param digest: digest of metadata, configuration and code as last registered; None before the first success.
    :param error: why the newest content was refused; None if it was accepted.
    :param enabled: the value in the newest content. If the sensor's own value differs, an operator has set it.
    """

    metadata_file: str
    digest: str | None = None
    error: str | None = None
    overrides: Overrides = Overrides()
    enabled: bool | None = None

    @property
    def was_never_accepted(self) -> bool:
        """Whether its content has always been refused.

        If not, and the sensor has no document, someone else deleted that document.
        """
        return self.digest is None and self.error is not None


DEFAULT = "default"
"""The name of the instance that is the class itself: it runs under the reference of its class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Named):
    """One of several configurations with which a sensor's class runs. Its name is `Class@name`.

    :param digest: digest of its settings and its configuration as last registered; None before the first success.
    :param error: why the newest content was refused; None if it was accepted.
    :param overrides: the overrides of the class, replaced key by key by its own.
    :param enabled: whether it should run; None if its class decides.
    :param declared: the value in the newest content. If `enabled` differs, an operator has set it.
    :param triggers: which triggers it is notified of, as conditions on parameters by trigger type; None for all.
    """

    digest: str | None = None
    error: str | None = None
    overrides: Overrides = Overrides()
    poll_interval: float | None = None
    enabled: bool | None = None
    declared: bool | None = None
    triggers: Mapping[str, Any] | None = None

    @property
    def of_class(self) -> str:
        """The reference of its class."""
        return class_of(self.ref)

    @property
    def runs_as(self) -> str:
        """The reference of the sensor that it is."""
        return self.of_class if self.name.endswith(f"{INSTANCE}{DEFAULT}") else self.ref


def class_of(ref: str) -> str:
    """Return the reference of a sensor's class; for a class, that is the sensor's own reference."""
    return ref.partition(INSTANCE)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence(Named):
    """How long a sensor has been quiet, in seconds for which it should have been running.

    :param event: seconds since its last event.
    :param poll: seconds since a poll() last returned without an error.
    :param missing: the expectations that it does not meet, `event` or `poll`; empty while it is not silent.
    :param since: when it became silent, in seconds since the epoch; None while it is not silent.
    """

    event: float = 0.0
    poll: float = 0.0
    missing: tuple[str, ...] = ()
    since: float | None = None
