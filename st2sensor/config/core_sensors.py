"""`[webhooks]` and `[timers]`: the sensors of the bundled pack core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from oslo_config import cfg

from st2sensor.config.sections import section
from st2sensor.settings import Timers, Webhooks

SENSORS = {"webhook_sensor": "webhooks", "timer_sensor": "timers"}
"""The sections that enable sensors, by the names of the sensors' metadata files without suffix."""


def enabled_sensors(options: cfg.ConfigOpts) -> tuple[str, ...]:
    """Return the enabled sensors, named by their metadata files without suffix."""
    return tuple(name for name, group in SENSORS.items() if options[group].enable)


def webhooks(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path]) -> Webhooks:
    """Return the settings of webhooks. Raises ValueError naming the key."""
    certificate, key = group.tls_certificate_file, group.tls_key_file
    if key and not certificate:
        raise ValueError("[webhooks] tls_key_file: tls_certificate_file is missing; set it to the certificate's file")
    return section(
        Webhooks,
        group,
        tls_certificate_file=str(resolve(certificate)) if certificate else None,
        tls_key_file=str(resolve(key)) if key else None,
    )


def timers(group: cfg.ConfigOpts.GroupAttr) -> Timers:
    """Return the settings of timers. Raises ValueError naming the key."""
    return section(Timers, group, local_timezone=_zone(group.local_timezone))


def _zone(name: str | None) -> str | None:
    try:
        return name and ZoneInfo(name).key
    except (LookupError, ValueError, OSError) as exception:
        raise ValueError(
            f"[timers] local_timezone: there is no time zone {name}; write one such as Europe/Berlin, or remove the key"
        ) from exception
