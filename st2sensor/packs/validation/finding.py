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
    """One problem.

    :param line: counted from 1; None if it is not known.
    :param rule: a short name of the problem.
    :param message: the problem and its remedy.
    """

    pack: str
    file: str
    line: int | None
    severity: Severity
    rule: str
    message: str


def found(pack: str, error: ContentError, rule: str, severity: Severity = Severity.ERROR) -> Finding:
    """Return an error as a finding."""
    return Finding(pack=pack, file=error.file, line=error.line, severity=severity, rule=rule, message=error.message)
