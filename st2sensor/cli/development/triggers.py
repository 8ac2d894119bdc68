"""Show triggers while a pack is developed: triggers on the exchange, and invalid triggers, which never reach it."""

from __future__ import annotations

import json
from pathlib import Path

from st2sensor.cli.development.output import Output
from st2sensor.cli.events.instance import instance_in, not_shown
from st2sensor.cli.events.recording import Record
from st2sensor.datastore.change_triggers import CREATE, DELETE, UPDATE, VALUE_CHANGE
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.portable.payload import plain
from st2sensor.storage.base import Storage
from st2sensor.transport.base import Message

SENSOR_EVENTS = ("core.st2.sensor.process_spawn", "core.st2.sensor.process_exit")
"""Trigger types that are not shown, because the log says more about these events."""


class Triggers:
    """Shows and records triggers, in the main thread.

    :param outbox: file of the container's outbox.
    """

    def __init__(self, storage: Storage, outbox: Path, screen: Output, record: Record) -> None:
        self._storage = storage
        self._dead = DeadLetters(outbox)
        self._screen = screen
        self._record = record
        self._last_letter = 0

    def show(self, message: Message) -> None:
        """Show a message from the exchange."""
        instance = instance_in(message, self._storage)
        if instance is None:
            self._screen.show("warning", "exchange", not_shown(message))
            return
        self._record(instance)
        entry = instance.payload.get("object")
        if instance.trigger_type in (CREATE, UPDATE, DELETE) and isinstance(entry, dict):
            value = None if instance.trigger_type == DELETE else str(entry.get("value"))
            self._screen.show_entry(str(entry.get("name")), value)
        elif instance.trigger_type not in (VALUE_CHANGE, *SENSOR_EVENTS):
            self._screen.show_event("trigger", instance.trigger_type, instance.payload, trace_tag=instance.trace_tag)

    def show_invalid(self) -> None:
        """Show the triggers that became dead letters since the last call."""
        for letter in self._dead.after(self._last_letter):
            body = json.loads(letter.entry.body)
            payload = plain(body["payload"]) if letter.entry.tagged else body["payload"]
            self._screen.show_event("invalid", letter.entry.trigger, payload, reason=letter.entry.reason or "invalid")
            self._last_letter = letter.id
