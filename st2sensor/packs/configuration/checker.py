"""Applies the schemas of packs, which may take any amount of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.schema import Matching
from st2sensor.schemas.dialect import Compiled, Violation
from st2sensor.schemas.program import program_of
from st2sensor.workers.pool import Pool

FUNCTION = {
    "the check": "st2sensor.packs.configuration.schema:violation",
    "the complete check": "st2sensor.packs.configuration.schema:violations",
    "the search for keys": "st2sensor.packs.configuration.schema:matches",
}
"""The functions that a pool for checkers must have. Errors use these names."""

CHECK_TIMEOUT = 5.0
"""Seconds that a worker process may take to apply one schema."""


MOST_SCHEMAS = 100
"""Maximum number of schemas that are remembered."""


class Checker:
    """Applies schemas: cheap ones in this process, all others in a worker process with a deadline.

    :param workers: a pool with FUNCTION; None for a private one, which ends with this process.
    """

    def __init__(self, workers: Pool | None = None) -> None:
        self._workers = workers or Pool(FUNCTION)
        self._known: dict[int, tuple[Mapping[str, Any], Compiled | None]] = {}
        """Schemas by identity, each compiled if it is cheap: thousands of rules may have parameters of one type."""

    def violation(self, values: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[list[str | int], str] | None:
        """Return where and how values break a schema, or None. Raises WorkFailed if that takes too long."""
        compiled = self._compiled(schema)
        if compiled is not None:
            return compiled.first_violation(values)
        found = self._workers.run("the check", [values, schema], CHECK_TIMEOUT)
        return None if found is None else (found[0], found[1])

    def violations(self, values: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Violation]:
        """Return every way in which values break a schema. Raises WorkFailed if that takes too long."""
        found = self._workers.run("the complete check", [values, schema], CHECK_TIMEOUT)
        return [Violation(place=tuple(place), message=message, keyword=keyword) for place, message, keyword in found]

    def matching(self, schema: Mapping[str, Any], values: Any) -> Matching:
        """Return the pairs of a key in values, or in a schema's defaults, and a pattern that it matches.

        Raises WorkFailed if that takes too long.
        """
        patterns = sorted(config_schema.patterns(schema))
        if not patterns:
            return ()
        keys = sorted(config_schema.keys(values) | config_schema.keys(schema))
        found = self._workers.run("the search for keys", [patterns, keys], CHECK_TIMEOUT)
        return frozenset((pattern, key) for pattern, key in found)

    def _compiled(self, schema: Mapping[str, Any]) -> Compiled | None:
        known = self._known.get(id(schema))
        # While a schema is remembered, no other has its identity.
        if known is None:
            if len(self._known) >= MOST_SCHEMAS:
                self._known.clear()
            known = self._known[id(schema)] = (schema, None if program_of(schema) is None else Compiled(schema))
        return known[1]
