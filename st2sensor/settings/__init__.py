"""All settings, as one frozen tree. `config` reads them once; everything below the command line gets plain values."""

from st2sensor.settings.connections import Database, Messaging, Tls
from st2sensor.settings.container import Container, Restarts, Sharing
from st2sensor.settings.content import Content
from st2sensor.settings.core_sensors import Timers, Webhooks
from st2sensor.settings.datastore import Datastore, KeyValues
from st2sensor.settings.events import History, Outbox, Payloads, Push
from st2sensor.settings.observing import Log, Metrics
from st2sensor.settings.secrets import Secrets
from st2sensor.settings.tree import Settings

__all__ = [
    "Container",
    "Content",
    "Database",
    "Datastore",
    "History",
    "KeyValues",
    "Log",
    "Messaging",
    "Metrics",
    "Outbox",
    "Payloads",
    "Push",
    "Restarts",
    "Secrets",
    "Settings",
    "Sharing",
    "Timers",
    "Tls",
    "Webhooks",
]
