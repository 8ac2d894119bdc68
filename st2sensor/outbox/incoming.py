"""What the writer is handed, in the order in which it comes."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from st2sensor.outbox.entry import Entry

OnDone = Callable[[Exception | None], None]
"""Told, in the writer's thread, that an entry is on disk, or why it never will be. Must not raise or wait."""

StillWanted = Callable[[Entry], bool]
"""Asked, in the writer's thread, whether an entry may be taken, before its commit and after it."""

Lane = tuple[str, str]
"""A sensor and a trigger type."""


class Submitted(NamedTuple):
    """An entry with whom to tell and whom to ask.

    :param is_left: it comes from an outbox that was left behind, and goes before what its sensor dispatches now.
    """

    entry: Entry
    done: OnDone
    still: StillWanted | None
    is_left: bool = False


class Signal(enum.Enum):
    """What the writer is told besides entries."""

    SETTLED = "rows wait to be deleted"
    GIVE_UP = "who waits for room is told that there is none"
    CLOSE = "commit what is left and end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A sensor stops, or `over`: it may start again."""

    sensor: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What a sensor has left in another outbox comes first, or `over`: it has come."""

    sensor: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrict:
    """Lanes that have taken their share of the outbox: only they wait."""

    lanes: frozenset[Lane]


Item = Submitted | threading.Event | Signal | Stop | Expect | Restrict
"""An event is set once all that came before it is committed, except for what waits for room."""
