"""Checks what a sensor dispatches against the payload_schema of its trigger, before it is sent.

The container gives a program for each schema whose check takes time in proportion to the payload. Whatever the program
does not pass, and all others, the container checks. A digest tells it which schema was applied here.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Optional, Union

from st2sensor.portable.payload import plain

LARGEST = 256 * 1024
"""Bytes of a payload that is checked here; a larger one could take longer than a check may."""

MOST_TRIGGERS = 1000
"""Triggers whose schema is remembered."""

NO_SCHEMA = ""
"""The digest where any object fits."""


class _Invalid(ValueError):
    """Raised by a program, which gives arguments that do not matter here."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()


NAMES = {"JsonSchemaValueException": _Invalid, "JsonSchemaValuesException": _Invalid, "Decimal": float}
"""What a program expects to find."""

Check = Callable[[Any], Any]


class Schemas:
    """For any thread.

    :param ask: asks the container for the schema of a trigger: its `digest` and `program`; None when it knows none.
    """

    def __init__(self, ask: Callable[[Any], Optional[Dict[str, Any]]]) -> None:
        self._ask = ask
        self._digests: Dict[str, str] = {}
        """By trigger."""
        self._checks: Dict[str, Optional[Check]] = {}
        """By digest."""

    def fitting(self, trigger: Union[str, Dict[str, Any]], payload: bytes, tagged: bool) -> Optional[str]:
        """The digest of the trigger's schema, when the payload fits it for sure; None when the container has to look.

        :param payload: JSON, in the form that `payload.pack` gives where it is tagged.
        """
        key = _key(trigger)
        digest = self._digests.get(key)
        if digest is None:
            self.learn(trigger, self._ask(trigger))
            digest = self._digests.get(key)
        if digest is None or len(payload) > LARGEST:
            return None
        check = self._checks.get(digest)
        if digest != NO_SCHEMA and check is None:
            return None
        if digest == NO_SCHEMA and not tagged:
            return digest
        return digest if _passes(check, payload, tagged) else None

    def learn(self, trigger: Union[str, Dict[str, Any]], schema: Optional[Dict[str, Any]]) -> None:
        """Remember what the container says of a trigger's schema."""
        if schema is None:
            return
        if len(self._digests) >= MOST_TRIGGERS:
            self._digests.clear()
            self._checks.clear()
        digest = schema["digest"]
        if digest not in self._checks:
            self._checks[digest] = _compiled(schema["program"])
        self._digests[_key(trigger)] = digest


def _key(trigger: Union[str, Dict[str, Any]]) -> str:
    """Triggers with the same key have the same type."""
    if isinstance(trigger, str):
        return trigger
    return repr([trigger.get(name) for name in ("type", "id", "uid", "ref", "pack", "name")])


def _compiled(program: Optional[str]) -> Optional[Check]:
    if program is None:
        return None
    namespace: Dict[str, Any] = dict(NAMES)
    try:
        exec(program, namespace)
    except (SyntaxError, MemoryError, RecursionError):
        # Older interpreters nest fewer blocks.
        return None
    check: Check = namespace["validate"]
    return check


def _passes(check: Optional[Check], payload: bytes, tagged: bool) -> bool:
    """Whether what consumers get fits: not the objects, which may be another thing than their JSON."""
    try:
        instance = json.loads(payload)
        if tagged:
            instance = plain(instance)
        if check is not None:
            check(instance)
    except Exception:  # noqa: BLE001 (the container says what is wrong)
        return False
    return isinstance(instance, dict)
