"""The root of all settings."""

from __future__ import annotations

from dataclasses import dataclass

from st2sensor.settings.connections import Database, Messaging
from st2sensor.settings.container import Container
from st2sensor.settings.content import Content
from st2sensor.settings.core_sensors import Timers, Webhooks
from st2sensor.settings.datastore import Datastore, KeyValues
from st2sensor.settings.events import History, Outbox, Payloads, Push
from st2sensor.settings.observing import Log, Metrics
from st2sensor.settings.secrets import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings.

    :param source: the configuration files that were read, for messages.
    :param system_user: `[system_user] user`.
    :param warnings: warnings about suspicious settings, such as misspelt keys.
    """

    source: str
    database: Database
    messaging: Messaging
    outbox: Outbox
    history: History
    content: Content
    container: Container
    key_values: KeyValues
    datastore: Datastore
    webhooks: Webhooks
    timers: Timers
    log: Log
    metrics: Metrics
    system_user: str
    payloads: Payloads
    push: Push
    secrets: Secrets
    warnings: tuple[str, ...] = ()
