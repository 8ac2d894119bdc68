"""Checks a payload against the payload_schema of its trigger before the sensor sends it.

The container gives a program for each schema whose check takes time in proportion to the payload. The container itself
checks every payload that the program rejects, and every payload whose schema has no program. A digest tells the
container which schema was applied here.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from st2sensor.portable.event_key import key_of
from st2sensor.portable.payload import plain

LARGEST = 256 * 1024
"""Maximum number of bytes of a payload that is checked here. The check of a larger payload could take too long."""

MOST_TRIGGERS = 1000
"""Maximum number of triggers whose schema is remembered."""

NO_SCHEMA = ""
"""The digest for triggers whose payload may be any object."""


class _Invalid(ValueError):
    """Raised by a program. The arguments do not matter here."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()


NAMES = {"JsonSchemaValueException": _Invalid, "JsonSchemaValuesException": _Invalid, "Decimal": float}
"""The global names of a program."""

Check = Callable[[Any], Any]


class Schemas:
    """The schemas of a sensor's triggers, for any thread.

    :param ask: asks the container for the schema of a trigger: its `digest` and `program`, or None if there is none.
    """

    def __init__(self, ask: Callable[[Any], Optional[Dict[str, Any]]]) -> None:
        self._ask = ask
        self._digests: Dict[str, str] = {}
        """The digest of each trigger's schema, by the trigger's key."""
        self._paths: Dict[str, List[str]] = {}
        """The paths of the values that make an event's key, by the trigger's key; empty for none."""
        self._checks: Dict[str, Optional[Check]] = {}
        """The compiled program of each schema, by digest."""

    def fitting(
        self, trigger: Union[str, Dict[str, Any]], payload: bytes, tagged: bool
    ) -> Tuple[Optional[str], Optional[str]]:
        """Return two values. The first is the digest of the trigger's schema if the payload surely fits; None if the
        container must check it. The second is the event's key; None if it has none, or if the container must make it.

        :param payload: JSON; a tagged payload has the form that `payload.pack` returns.
        """
        key = _key(trigger)
        digest = self._digests.get(key)
        if digest is None:
            self.learn(trigger, self._ask(trigger))
            digest = self._digests.get(key)
        if digest is None or len(payload) > LARGEST:
            return None, None
        check, paths = self._checks.get(digest), self._paths.get(key)
        if digest != NO_SCHEMA and check is None:
            return None, None
        if digest == NO_SCHEMA and not tagged and not paths:
            return digest, None
        instance = _fitting(check, payload, tagged)
        if instance is None:
            return None, None
        return digest, key_of(paths, instance) if paths else None

    def learn(self, trigger: Union[str, Dict[str, Any]], schema: Optional[Dict[str, Any]]) -> None:
        """Remember the container's answer about a trigger's schema."""
        if schema is None:
            return
        if len(self._digests) >= MOST_TRIGGERS:
            self._digests.clear()
            self._checks.clear()
            self._paths.clear()
        digest = schema["digest"]
        if digest not in self._checks:
            self._checks[digest] = _compiled(schema["program"])
        self._paths[_key(trigger)] = schema.get("key") or []
        self._digests[_key(trigger)] = digest


def _key(trigger: Union[str, Dict[str, Any]]) -> str:
    """Return a trigger's key. Triggers with the same key have the same type."""
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
        # Older interpreters allow fewer nested blocks.
        return None
    check: Check = namespace["validate"]
    return check


def _fitting(check: Optional[Check], payload: bytes, tagged: bool) -> Optional[Dict[str, Any]]:
    """Check the JSON that consumers will read, because the sensor's own objects may differ from it. Return it; None if
    it does not fit."""
    try:
        instance = json.loads(payload)
        if tagged:
            instance = plain(instance)
        if check is not None:
            check(instance)
    except Exception:  # noqa: BLE001 (the container reports what is wrong)
        return None
    return instance if isinstance(instance, dict) else None
