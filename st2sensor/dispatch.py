"""From a sensor's dispatch() to the outbox: checks what is dispatched against what is registered. In the container.

What cannot be published is kept as a dead letter, with the reason: a sensor never hears of it, as in StackStorm, and
nothing is lost silently.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping

from jsonschema.protocols import Validator

from st2sensor import schema
from st2sensor.models import Schema, Trigger, TriggerInstance, TriggerType
from st2sensor.outbox import Done, Entry, Outbox
from st2sensor.transport.codec import to_json

LOG = logging.getLogger(__name__)


class Dispatcher:
    """Holds the trigger types and triggers that are registered; for the supervisor's thread.

    :param validate: keep invalid payloads out of the exchange; otherwise publish them with a warning.
    """

    def __init__(self, outbox: Outbox, *, validate: bool) -> None:
        self._outbox = outbox
        self._validate = validate
        self._types: dict[str, TriggerType] = {}
        self._type_of_trigger: dict[str, str] = {}
        self._validators: dict[str, tuple[Schema, Validator | str]] = {}

    def learn(self, types: Iterable[TriggerType], triggers: Iterable[Trigger]) -> None:
        """Replace what is known; validators of unchanged schemas stay compiled."""
        self._types = {item.ref: item for item in types}
        self._type_of_trigger = {item.ref: item.type for item in triggers}
        self._validators = {ref: cached for ref, cached in self._validators.items() if ref in self._types}

    def knows(self, trigger: str | Mapping[str, object]) -> bool:
        """Whether a dispatch of this trigger would find its type."""
        return self._type(trigger) is not None

    def dispatch(self, sensor: str, instance: TriggerInstance, done: Done) -> None:
        """Put an instance on its way.

        :param sensor: the reference of the sensor that dispatches, or `core` for the container itself.
        :param done: told once the instance, or the dead letter, is on disk.
        """
        reason = self._objection(sensor, instance)
        name = _name(instance.trigger)
        if reason is not None:
            LOG.warning("%s dispatched %s, which is kept as a dead letter: %s", sensor, name, reason)
        entry = Entry(
            message_id=uuid.uuid4().hex,
            sensor=sensor,
            trigger=_printable(name),
            created=time.time(),
            body=to_json(instance),
            reason=None if reason is None else _printable(reason),
        )
        self._outbox.submit(entry, done)

    def _objection(self, sensor: str, instance: TriggerInstance) -> str | None:
        if not isinstance(instance.payload, dict):
            return f"the payload is a {type(instance.payload).__name__}, not a dict"
        trigger_type = self._type(instance.trigger)
        if trigger_type is None:
            return f"trigger {_name(instance.trigger)} is not registered"
        validator = self._validator(trigger_type)
        if validator is None:
            return None
        problem = validator if isinstance(validator, str) else schema.violation(validator, instance.payload)
        if problem is None:
            return None
        problem = f"the payload does not fit the payload_schema of {trigger_type.ref}: {problem}"
        if self._validate:
            return problem
        LOG.warning("%s dispatched %s, published all the same: %s", sensor, _name(instance.trigger), problem)
        return None

    def _type(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        if isinstance(trigger, str):
            return self._types.get(self._type_of_trigger.get(trigger, trigger))
        named = trigger.get("type")
        if isinstance(named, str) and named in self._types:
            return self._types[named]
        ref = trigger.get("ref") or f"{trigger.get('pack')}.{trigger.get('name')}"
        return self._type(ref) if isinstance(ref, str) else None

    def _validator(self, trigger_type: TriggerType) -> Validator | str | None:
        """The compiled schema, what is wrong with the schema, or None when there is none."""
        declared = trigger_type.payload_schema
        if not declared:
            return None
        cached = self._validators.get(trigger_type.ref)
        if cached is None or cached[0] != declared:
            problem = schema.check(declared)
            compiled = f"the schema itself is wrong: {problem}" if problem else schema.validator(declared)
            cached = self._validators[trigger_type.ref] = (declared, compiled)
        return cached[1]


def _printable(text: str) -> str:
    """A sensor's text may hold lone surrogates, which no database takes; the body has them escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _name(trigger: str | Mapping[str, object]) -> str:
    if isinstance(trigger, str):
        return trigger
    return str(trigger.get("ref") or trigger.get("type") or trigger.get("name") or "?")
