"""The names of the container's loggers. Operators filter by these names, so they must not change when modules move."""

from __future__ import annotations

LOGGERS = (
    *("broker", "container", "datastore", "delivery", "dispatch", "http", "logs"),
    *("operators", "outbox", "sessions", "sharing", "storage", "supervision"),
)
"""Each logger is named `st2sensor.<name>`. docs/operations.md describes them."""

OLD = {
    "supervision": "container.cgroup container.children container.chronicle container.launcher container.zygote",
    "sessions": "container.assignments container.endpoint container.requests container.session",
    "datastore": "container.datastore_requests container.storing keyring",
    "operators": "container.beside container.control container.hangs container.management container.reporter",
    "container": "cli.running cli.serving container.supervisor container.systemd",
    "sharing": "container.membership sharing.identity sharing.participant",
    "storage": "container.knowledge container.refresh storage.mongo.indexes storage.reader watch",
    "delivery": "adoption audience metrics",
    "outbox": "outbox.graveyard outbox.store outbox.waiting outbox.writer",
    "broker": "transport.amqp.connection transport.amqp.consumer transport.amqp.publisher",
    "http": "doors status.feed status.server visitors",
}
"""Names of loggers up to version 0.1, in which they were named after modules."""

RENAMED = {f"st2sensor.{old}": f"st2sensor.{new}" for new, olds in OLD.items() for old in olds.split()}


def current(name: str) -> str:
    """Return the current name of a logger, given a name from a logging.conf, which may be an old one."""
    return RENAMED.get(name, name)
