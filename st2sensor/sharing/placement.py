"""Chooses the member that should run a sensor, by weighted rendezvous hashing. Pure: all members get the same result.

Each member draws a number for each sensor, and the smallest number wins. So when a member joins, sensors move only to
it, and when a member leaves, only its sensors move.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from st2sensor.models import Member

WORD = 2**64 - 1
"""All 64 bits of a word."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that may run sensors, with the fields that placement needs."""

    id: str
    node: str
    capacity: float
    labels: frozenset[str]
    hash: int


class Placement:
    """Maps sensors to members. For one thread.

    :param members: members that may run sensors.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self.candidates = frozenset(_candidate(member) for member in members)
        self._targets: dict[tuple[str, tuple[str, ...]], str | None] = {}

    def target(self, sensor: str, needs: tuple[str, ...] = ()) -> str | None:
        """Return the id of the member that should run a sensor; None if no member may run it.

        :param needs: labels that the member must have. A node's name is one of its labels.
        """
        key = (sensor, needs)
        if key not in self._targets:
            seed = hash_of(sensor)
            # Two members with the same node name draw the same number; then the id decides.
            drawn = ((draw(seed, item.hash, item.capacity), item.id) for item in self.candidates if _may(item, needs))
            self._targets[key] = min(drawn, default=(0.0, None))[1]
        return self._targets[key]

    def may_run(self, member: str, needs: tuple[str, ...]) -> bool:
        """Return whether a member is a candidate with all needed labels."""
        return any(item.id == member and _may(item, needs) for item in self.candidates)


def draw(sensor: int, node: int, capacity: float) -> float:
    """Draw an exponentially distributed number.

    The probability that a node draws the smallest number equals its share of the total capacity.

    :param sensor: hash of the sensor's reference.
    :param node: hash of the node's name.
    """
    uniform = ((mixed(sensor ^ node) >> 11) + 0.5) * 2.0**-53
    return -math.log(uniform) / capacity


def mixed(value: int) -> int:
    """Mix 64 bits, with the finalizer of MurmurHash3."""
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD & WORD
    value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53 & WORD
    return value ^ (value >> 33)


def hash_of(name: str) -> int:
    """Return a 64-bit hash that is the same on every host."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _candidate(member: Member) -> Candidate:
    labels = frozenset({*member.labels, member.node})
    return Candidate(member.id, member.node, member.capacity, labels, hash_of(member.node))


def _may(candidate: Candidate, needs: tuple[str, ...]) -> bool:
    return candidate.labels.issuperset(needs)
