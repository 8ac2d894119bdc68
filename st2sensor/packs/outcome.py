"""What registering one thing came to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Result(enum.Enum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """:param kind: pack, sensor, trigger type or rule; :param ref: its reference, or its file when it has none yet."""

    kind: str
    ref: str
    result: Result
    message: str = ""
