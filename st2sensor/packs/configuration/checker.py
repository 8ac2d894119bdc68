"""Applies the schemas of packs, which may take any time to apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from st2sensor.packs.configuration import schema as config_schema
from st2sensor.schemas.program import program_of
from st2sensor.workers.pool import Pool

FUNCTION = {"the check": "st2sensor.packs.configuration.schema:violation"}
"""The function that a pool for checkers must have. Errors use this name."""

CHECK_TIMEOUT = 5.0
"""Seconds that a worker process may take to apply one schema."""


class Checker:
    """Applies schemas: cheap ones in this process, all others in a worker process with a deadline.

    :param workers: a pool with FUNCTION; None for a private one, which ends with this process.
    """

    def __init__(self, workers: Pool | None = None) -> None:
        self._workers = workers or Pool(FUNCTION)

    def violation(self, values: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[list[str | int], str] | None:
        """Return where and how values break a schema, or None. Raises WorkFailed if that takes too long."""
        if program_of(schema) is not None:
            return config_schema.violation(values, schema)
        found = self._workers.run("the check", [values, schema], CHECK_TIMEOUT)
        return None if found is None else (found[0], found[1])
