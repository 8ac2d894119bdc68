"""The items in the writer's queue."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from st2sensor.outbox.entry import Entry

OnDone = Callable[[Exception | None], None]
"""Called in the writer's thread with None once an entry is on disk, or with the reason why it never will be. Must not
raise or wait."""

StillWanted = Callable[[Entry], bool]
"""Called in the writer's thread before an entry's commit and after it; returns whether the entry may be accepted."""

Lane = tuple[str, str]
"""A sensor and a trigger type."""


class Submitted(NamedTuple):
    """A submitted entry.

    :param is_left: whether it comes from an abandoned outbox, and precedes new events of its sensor.
    """

    entry: Entry
    done: OnDone
    still: StillWanted | None
    is_left: bool = False


class Signal(enum.Enum):
    """Items without content."""

    SETTLED = "rows are waiting to be deleted"
    GIVE_UP = "submitters that are waiting for room get an error"
    CLOSE = "commit the remaining entries and end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A sensor is stopping, or, if `over`, has stopped and starts again."""

    sensor: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """New entries of a sensor must wait for those that it left in another outbox. `over`: those have arrived."""

    sensor: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrict:
    """Lanes that have used their share of the outbox: only their entries wait."""

    lanes: frozenset[Lane]


Item = Submitted | threading.Event | Signal | Stop | Expect | Restrict
"""An event is set once every earlier item is committed, except for entries that wait for room."""
