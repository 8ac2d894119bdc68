"""The items in the writer's queue."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.entry import Entry

OnDone = Callable[[Exception | None], None]
"""Called in the writer's thread with None once the entries are on disk, or with the reason why they never will be.

Must not raise or wait.
"""

StillWanted = Callable[[Entry], bool]
"""Called in the writer's thread before an entry's commit and after it; returns whether the entry may be accepted."""

Lane = tuple[str, str]
"""A sensor and a trigger type."""


@dataclass(slots=True, eq=False)
class Submitted:
    """Entries of one sensor that are committed together, all or none.

    :param entries: at least one.
    :param still: None if the entries are always wanted.
    :param is_left: whether they come from an abandoned outbox, and precede new events of their sensor.
    :ivar sizes: the bytes of each entry; set once the entries are known to be sound.
    """

    entries: Sequence[Entry]
    done: OnDone
    still: StillWanted | None = None
    is_left: bool = False
    sizes: Sequence[int] = ()

    @property
    def sensor(self) -> str:
        return self.entries[0].sensor

    @property
    def is_dead(self) -> bool:
        """Whether all entries are dead letters, which need no space in the outbox."""
        return all(entry.reason is not None for entry in self.entries)

    def is_wanted(self) -> bool:
        """Return whether the entries may be accepted."""
        return self.still is None or all(map(self.still, self.entries))


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
    """New entries of a sensor must wait for the entries that it left in another outbox. `over`: these have arrived."""

    sensor: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrict:
    """Lanes that have used their share of the outbox: only their entries wait."""

    lanes: frozenset[Lane]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Operators' limits, by sensor."""

    limits: Mapping[str, SensorLimits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """Held rows leave now.

    :param sensor: None for all sensors; `trigger_type`: None for all types.
    :param done: called with their number in the writer's thread.
    """

    sensor: str | None
    trigger_type: str | None
    done: Callable[[int], None]


Item = Submitted | threading.Event | Signal | Stop | Expect | Restrict | Limit | Free
"""An event is set once every earlier item is committed, except for entries that wait for space."""
