"""A problem in a pack, and its place."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from st2sensor.errors import ContentError


class Severity(enum.Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """:param line: from 1, when known; :param rule: a short name of what is wrong; :param message: with the remedy."""

    pack: str
    file: str
    line: int | None
    severity: Severity
    rule: str
    message: str


def found(pack: str, error: ContentError, rule: str, severity: Severity = Severity.ERROR) -> Finding:
    """Return the finding of an error."""
    return Finding(pack=pack, file=error.file, line=error.line, severity=severity, rule=rule, message=error.message)
