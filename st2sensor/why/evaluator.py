"""Evaluates rules against events, with a deadline, and with the datastore's values. Blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from st2sensor.errors import DatastoreError, WorkExceeded, WorkFailed
from st2sensor.masking import MASK, forms, masked
from st2sensor.matching import paths
from st2sensor.matching.criteria import PAYLOAD, Comparison
from st2sensor.matching.rules import UNCLEAR, RuleContent, Subject, Verdict, first_obstacle, judged
from st2sensor.models import SYSTEM_SCOPE, KeyValue, Schema
from st2sensor.workers.pool import Pool

FUNCTIONS = {"the criteria": "st2sensor.why.evaluating:evaluated"}

TIMEOUT = 2.0
"""Seconds that one evaluation of a rule's criteria may take."""

ALL = 10.0
"""Seconds that all evaluations of a rule may take: each key of the datastore needs another one."""

KEYS = 100
"""Maximum number of keys of the datastore that one rule may use."""

Lookup = Callable[[str, str], KeyValue | None]
"""Receives the scope and the name as stored."""


class Evaluator:
    """Evaluates rules.

    :param lookup: reads the datastore; None without one.
    :param decrypt: receives a name, for messages, and the ciphertext; raises DatastoreError.
    :param workers: a pool with FUNCTIONS.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        workers: Pool,
        lookup: Lookup | None = None,
        decrypt: Callable[[str, str], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workers = workers
        self._lookup = lookup
        self._decrypt = decrypt
        self._clock = clock

    def verdict(self, rule: RuleContent, subject: Subject, schema: Schema | None = None) -> Verdict:
        """Return whether a rule matches an event, and why not. Raises StorageError.

        :param schema: the payload_schema, whose properties may be marked as secret.
        """
        obstacle = first_obstacle(rule, subject)
        if obstacle is not None:
            return obstacle
        if not rule.criteria:
            return judged(rule, ())
        values = _Values(self._lookup, self._decrypt)
        try:
            found = self._compared(rule.criteria, subject.payload, values)
        except (WorkFailed, DatastoreError) as error:
            slow = isinstance(error, WorkExceeded) and error.what == "time"
            detail = (
                f"its criteria take more than {TIMEOUT:g} s to evaluate; simplify its expressions, which also hold up "
                "the rules engine"
                if slow
                else f"its criteria cannot be evaluated here: {error}"
            )
            return Verdict(rule=rule, outcome=UNCLEAR, detail=detail)
        return judged(rule, [values.shown(item, schema) for item in found])

    def _compared(self, criteria: Mapping[str, Any], payload: Mapping[str, Any], values: _Values) -> list[Comparison]:
        starts, until = {SYSTEM_SCOPE: ""}, time.monotonic() + ALL
        for _ in range(KEYS):
            left = max(0.01, min(TIMEOUT, until - time.monotonic()))
            arguments = [criteria, payload, self._clock(), starts, {SYSTEM_SCOPE: values.texts}, values.plains]
            answer = self._workers.run("the criteria", arguments, left)
            if "results" in answer:
                return [Comparison(**item) for item in answer["results"]]
            values.fetch(answer)
        raise WorkFailed(f"they use more than {KEYS} keys of the datastore")


class _Values:
    """The datastore's values that one rule uses."""

    def __init__(self, lookup: Lookup | None, decrypt: Callable[[str, str], str] | None) -> None:
        self._lookup = lookup
        self._decrypt = decrypt
        self.texts: dict[str, str] = {}
        self.plains: dict[str, str] = {}
        self.missing: list[str] = []

    def fetch(self, needed: Mapping[str, Any]) -> None:
        """Read the value that a worker process has requested. Raises DatastoreError, StorageError."""
        name = needed["name"]
        if needed["needs"] == "plain":
            if self._decrypt is None:
                raise DatastoreError(f"the secret {name} cannot be decrypted without the datastore's key")
            self.plains[needed["of"]] = self._decrypt(name, needed["of"])
            return
        if self._lookup is None:
            raise DatastoreError(f"the key {name} is in the datastore, which is not read here")
        entry = self._lookup(SYSTEM_SCOPE, name)
        if entry is None:
            # As in StackStorm.
            self.missing.append(name)
        self.texts[name] = "" if entry is None else entry.value

    def shown(self, found: Comparison, schema: Schema | None) -> Comparison:
        """Return a comparison with its secrets masked, and with a note about missing keys."""
        secrets = forms(self.plains.values())
        pattern, value = _masked(found.pattern, secrets), _masked(found.value, secrets)
        if _is_secret(found.key, schema):
            value = None if value is None else MASK
            pattern = None if pattern is None else MASK
        notes = [] if found.problem == "" else [masked(found.problem, secrets)]
        if self.missing and found.matched is not True:
            notes.append(f"the datastore has no key {', '.join(self.missing)}, which counts as empty text")
        return replace(found, pattern=pattern, value=value, problem="; ".join(notes))


def _masked(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return masked(value, secrets)
    if isinstance(value, Mapping):
        return {key: _masked(item, secrets) for key, item in value.items()}
    return [_masked(item, secrets) for item in value] if isinstance(value, Sequence) else value


def _is_secret(key: str, schema: Schema | None) -> bool:
    """Return whether a key leads to a value that contains, or is inside, a property that the schema marks as secret."""
    try:
        steps = paths.parsed(paths.plain(key))
    except paths.BadPath:
        return True
    places: list[Any] = [schema] if steps[0] == (PAYLOAD,) else []
    for step in steps[1:]:
        if any(isinstance(place, Mapping) and place.get("secret") is True for place in places):
            return True
        places = [inner for place in places for way in step for inner in _inside(place, way)]
    return any(_holds_secret(place) for place in places)


def _inside(place: Any, way: paths.Step) -> list[Any]:
    """Return the schemas of the values that a step reaches."""
    if not isinstance(place, Mapping):
        return []
    properties, items = place.get("properties"), place.get("items")
    if isinstance(way, str):
        return [properties[way]] if isinstance(properties, Mapping) and way in properties else []
    named = list(properties.values()) if way is None and isinstance(properties, Mapping) else []
    return [*named, *(items if isinstance(items, list) else [items])]


def _holds_secret(schema: Any) -> bool:
    waiting = [schema]
    while waiting:
        place = waiting.pop()
        if isinstance(place, Mapping):
            if place.get("secret") is True:
                return True
            waiting += place.values()
        elif isinstance(place, list):
            waiting += place
    return False
