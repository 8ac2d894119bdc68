"""Which member is to run a sensor: weighted rendezvous hashing. Pure; every member comes to the same result.

Each member draws a number for each sensor, and the smallest one wins. So a member that comes takes sensors only for
itself, and the sensors of one that goes are all that move.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from st2sensor.models import Member

MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that may run sensors: what placement needs of it."""

    id: str
    node: str
    capacity: float
    labels: frozenset[str]
    hash: int


class Placement:
    """:param members: that may run sensors."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.candidates = frozenset(_candidate(member) for member in members)
        self._targets: dict[tuple[str, tuple[str, ...]], str | None] = {}

    def target(self, sensor: str, needs: tuple[str, ...] = ()) -> str | None:
        """Id of the member that is to run a sensor; None when none may.

        :param needs: the labels that it must have; a node's name is one of its labels.
        """
        key = (sensor, needs)
        if key not in self._targets:
            seed = hash_of(sensor)
            # Of two members of one name the draws are equal: the id decides.
            drawn = ((draw(seed, item.hash, item.capacity), item.id) for item in self.candidates if _may(item, needs))
            self._targets[key] = min(drawn, default=(0.0, None))[1]
        return self._targets[key]

    def may_run(self, member: str, needs: tuple[str, ...]) -> bool:
        """Whether a member is a candidate that has all labels."""
        return any(item.id == member and _may(item, needs) for item in self.candidates)


def draw(sensor: int, node: int, capacity: float) -> float:
    """An exponentially distributed number: the smallest of several is each one's as often as its capacity's share.

    :param sensor: hash of its reference; :param node: hash of its name.
    """
    uniform = ((mixed(sensor ^ node) >> 11) + 0.5) * 2.0**-53
    return -math.log(uniform) / capacity


def mixed(value: int) -> int:
    """Spread 64 bits: the finalizer of MurmurHash3."""
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD & MASK
    value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ (value >> 33)


def hash_of(name: str) -> int:
    """64 bits, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _candidate(member: Member) -> Candidate:
    labels = frozenset({*member.labels, member.node})
    return Candidate(member.id, member.node, member.capacity, labels, hash_of(member.node))


def _may(candidate: Candidate, needs: tuple[str, ...]) -> bool:
    return candidate.labels.issuperset(needs)
