"""Show triggers while a pack is developed: triggers on the exchange, and invalid triggers, which never reach it."""

from __future__ import annotations

import json
from pathlib import Path

from st2sensor.cli.development.output import Output
from st2sensor.cli.events.instance import instance_in, not_shown
from st2sensor.cli.events.recording import Record
from st2sensor.cli.text.suggestions import did_you_mean
from st2sensor.datastore.change_triggers import CREATE, DELETE, UPDATE, VALUE_CHANGE
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.models import SensorType, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.portable.payload import plain
from st2sensor.storage.base import Storage
from st2sensor.transport.base import Message

SENSOR_EVENTS = ("core.st2.sensor.process_spawn", "core.st2.sensor.process_exit")
"""Trigger types that are not shown, because the log says more about these events."""


UNREGISTERED = " is not registered"
"""End of the reason why an event of an unknown trigger type is invalid."""


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
            self._screen.show_event("invalid", letter.entry.trigger, payload, reason=self._reason(letter.entry))
            self._last_letter = letter.id

    def _reason(self, entry: Entry) -> str:
        """Return why an event is invalid, with a remedy if its trigger type is not declared."""
        reason = entry.reason or "invalid"
        if not reason.endswith(UNREGISTERED):
            return reason
        sensor = self._storage.get(SensorType, entry.sensor.partition("@")[0])
        known = [item.ref for item in self._storage.all(TriggerType)]
        file = sensor.metadata_file if sensor is not None and sensor.metadata_file else "the sensor's metadata file"
        meant = did_you_mean(entry.trigger_type, known)
        return f"{reason}{f'{meant} Or' if meant else ';'} add it to trigger_types in {file}"
